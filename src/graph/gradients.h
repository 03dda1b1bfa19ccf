/* The gradient rules of the op table (see OpRule.gradient). */
#ifndef GRAPH_GRADIENTS_H
#define GRAPH_GRADIENTS_H

#include "graph/autodiff.h"

wf_status gradient_copy(Autodiff *autodiff, int node);
wf_status gradient_add(Autodiff *autodiff, int node);
wf_status gradient_embed(Autodiff *autodiff, int node);
wf_status gradient_layernorm(Autodiff *autodiff, int node);
wf_status gradient_product(Autodiff *autodiff, int node);
wf_status gradient_gelu(Autodiff *autodiff, int node);
wf_status gradient_dropout(Autodiff *autodiff, int node);
wf_status gradient_feature(Autodiff *autodiff, int node);
wf_status gradient_gate(Autodiff *autodiff, int node);
wf_status gradient_key_norm(Autodiff *autodiff, int node);
wf_status gradient_couple(Autodiff *autodiff, int node);
wf_status gradient_field(Autodiff *autodiff, int node);
wf_status gradient_attention(Autodiff *autodiff, int node);
wf_status gradient_first_token(Autodiff *autodiff, int node);
wf_status gradient_causal_mean(Autodiff *autodiff, int node);
wf_status gradient_cosine(Autodiff *autodiff, int node);
wf_status gradient_interfere(Autodiff *autodiff, int node);
wf_status gradient_head_loss(Autodiff *autodiff, int node);

#endif
