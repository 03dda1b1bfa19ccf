"""The Wave Field language model in PyTorch: what Wavefield computes, in a form to read and to try.

Written for clarity from the formulas, not for speed: the field propagates by FFT, whole sequences
only. Parameters carry the names of published checkpoints and of model.safetensors:

    config, state = read_model("MODEL_DIR")          # of pytorch.py beside this file
    model = WaveField(config).double()
    model.load_state_dict(state)
    logits = model(torch.tensor([[5, 9, 2]]))        # [batch, tokens, vocabulary]

A new model has PyTorch's initial values, not Wavefield's. Shapes are written B batch, N tokens,
D embedding_dim, H heads, d = D/H, G cells of the field.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

# What a config.json may leave out.
DEFAULTS = {
    "interference_interval": 0, "dropout": 0.0, "feature_map_depth": 2, "cross_dim": True,
    "spectral_gate": False, "residual_scale": False, "allow_leaky_geometry": False, "tokenizer": ""}

GATE_POINTS = 32  # of the spectral gate, for each head


def places(version, cells, tokens):
    """Where tokens sit: the cell and the fraction of a cell past it, exact. Two tensors [tokens].

    Token i is at i·(G-1)/(M-1), M = `tokens` being the model's max_seq_len whatever the length of a
    text. Floats would misplace tokens in long fields; quotient and remainder do not.
    """
    above, below, last = cells - 1, max(tokens - 1, 1), cells - 2
    if version == "4":
        last = cells - 1
        if above < below:
            above = below = 1  # a cell a token; those past the end stay on the last cell
    along = torch.arange(tokens) * above
    cell = torch.div(along, below, rounding_mode="floor")
    fraction = (along % below).double() / below
    past = cell >= last
    return cell.masked_fill(past, last), fraction.masked_fill(past, 0.0)


def smooth(n):
    """The smallest number from n on whose prime factors are 2, 3, 5 and 7."""
    while True:
        rest = n
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1


def position_encoding(tokens, width):
    """Sines in even columns, cosines in odd ones: [tokens, width], in double precision."""
    column = torch.arange(width)
    rate = 10000.0 ** (-(column - column % 2).double() / width)
    angle = torch.arange(tokens).double()[:, None] * rate
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


class FeatureMap(nn.Module):
    """Makes keys and queries positive; one map serves all heads."""

    def __init__(self, width, depth):
        super().__init__()
        hidden = [nn.Linear(width, width), nn.GELU()] if depth == 2 else []
        self.net = nn.Sequential(*hidden, nn.Linear(width, width), nn.ReLU())

    def forward(self, x):
        return self.net(x) + 1e-6


class SpectralGate(nn.Module):
    """Bends each head's spectrum after the sequence's first token; a later one would leak."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width // heads)
        self.net = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, GATE_POINTS * heads))

    def forward(self, kernel, query):
        """kernel [H, G] and the first token's query [B, H, d] give a kernel a sequence, [B, H, G]."""
        cells = kernel.shape[1]
        length = smooth(4 * cells)
        points = self.net(self.norm(query).flatten(1)).view(-1, self.heads, GATE_POINTS)
        gate = F.interpolate(points, size=length // 2 + 1, mode="linear", align_corners=True)
        spectrum = torch.fft.rfft(kernel, n=length) * (1 + gate)
        return torch.fft.irfft(spectrum, n=length)[..., :cells]  # cut, so that it stays causal


class Attention(nn.Module):
    """Tokens write to a field, a damped wave carries it along, tokens read."""

    def __init__(self, config):
        super().__init__()
        self.version, self.norm = config["version"], config.get("kernel_norm", "l1")
        width, heads = config["embedding_dim"], config["num_heads"]
        self.heads, self.cells, self.longest = heads, config["field_size"], config["max_seq_len"]
        self.wave_frequency = nn.Parameter(torch.linspace(0.3, 4.0, heads))
        self.wave_damping = nn.Parameter(torch.linspace(-3.0, 0.5, heads))
        self.wave_phase = nn.Parameter(torch.linspace(0.0, math.pi, heads))
        self.field_coupling = nn.Parameter(torch.eye(heads))
        self.out_proj = nn.Linear(width, width)
        self.cross_dim = self.spectral_gate = None
        if self.version == "3.5":
            self.qkv_proj = nn.Linear(width, 3 * width)
            self.gate_proj = nn.Linear(width, width)
        else:
            self.qkvg_proj = nn.Linear(width, 4 * width)
            self.q_feature_map = FeatureMap(width // heads, config["feature_map_depth"])
            self.k_feature_map = FeatureMap(width // heads, config["feature_map_depth"])
            if config["cross_dim"]:
                self.cross_dim = nn.Linear(width // heads, width // heads, bias=False)
            if config["spectral_gate"]:
                self.spectral_gate = SpectralGate(width, heads)

    def kernel(self):
        """k[t] = e^(-αt)·cos(ωt + φ)/Z, causal by construction: [H, G]."""
        t = torch.arange(self.cells, dtype=self.wave_phase.dtype, device=self.wave_phase.device)
        damping = F.softplus(self.wave_damping)
        if self.version == "4":
            damping = damping.clamp(max=1.5)
        wave = torch.exp(-damping[:, None] * t) * torch.cos(
            self.wave_frequency[:, None] * t + self.wave_phase[:, None])
        if self.norm == "l1":
            size = wave.abs().sum(1, keepdim=True).clamp(min=1e-8)
        else:
            size = (2 * wave.sum(1, keepdim=True)).abs().clamp(min=1e-8) / 2
        return wave / size

    def through_field(self, deposit, query):
        """What each token reads of what it and earlier tokens deposited: [B, N, H, d] both."""
        length, cells = deposit.shape[1], self.cells
        low, fraction = places(self.version, cells, self.longest)
        low = low[:length].to(deposit.device)
        high = (low + 1).clamp(max=cells - 1)
        upper = fraction[:length, None, None].to(deposit)
        field = deposit.new_zeros(deposit.shape[0], cells, *deposit.shape[2:])  # [B, G, H, d]
        field = field.index_add(1, low, deposit * (1 - upper)).index_add(1, high, deposit * upper)

        kernel = self.kernel()
        if self.spectral_gate is not None:
            kernel = self.spectral_gate(kernel, query[:, 0])
        # Twice the length, so that nothing wraps around: [B, G+1, H, d] · [B or none, G+1, H, 1].
        waves = torch.fft.rfft(kernel, n=2 * cells).transpose(-1, -2)[..., None]
        field = torch.fft.irfft(torch.fft.rfft(field, n=2 * cells, dim=1) * waves,
                                n=2 * cells, dim=1)[:, :cells]
        read = field[:, low] * (1 - upper) + field[:, high] * upper
        return torch.einsum("ab,nibd->niad", self.field_coupling.softmax(-1), read)

    def forward(self, x):
        batch, length, width = x.shape

        def by_head(y):
            return y.view(batch, length, self.heads, width // self.heads)

        if self.version == "3.5":
            query, key, value = map(by_head, self.qkv_proj(x).chunk(3, dim=-1))
            gate = self.gate_proj(x)
            read = self.through_field(value * key.norm(dim=-1, keepdim=True), query)
        else:
            *heads, gate = self.qkvg_proj(x).chunk(4, dim=-1)
            query, key, value = map(by_head, heads)
            read = self.through_field(self.k_feature_map(key) * value, query)
            read = self.q_feature_map(query) * read
            if self.cross_dim is not None:
                read = self.cross_dim(read)
        return self.out_proj(read.reshape(batch, length, width) * gate.sigmoid())


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, hidden = config["embedding_dim"], config["ffn_dim"]
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(config)
        self.dropout = nn.Dropout(config["dropout"])
        self.ffn = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(config["dropout"]),
            nn.Linear(hidden, width), nn.Dropout(config["dropout"]))

    def forward(self, x):
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.ffn(self.norm2(x))


class Interference(nn.Module):
    """Adds the mean of what came so far, where its phase agrees with the token's."""

    def __init__(self, width, dropout):
        super().__init__()
        self.interference_temperature = nn.Parameter(torch.tensor(-2.0))
        self.compress = nn.Linear(width, width // 4)
        self.expand = nn.Linear(width // 4, width)
        self.local_phase_proj = nn.Linear(width, width)
        self.global_phase_proj = nn.Linear(width, width)
        self.interference_gate = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)  # stands in checkpoints, is not used
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)[:, None]
        context = self.dropout(self.expand(self.compress(x).cumsum(1) / count))
        local = F.normalize(self.local_phase_proj(x), dim=-1, eps=1e-12)
        around = F.normalize(self.global_phase_proj(context), dim=-1, eps=1e-12)
        agreement = (local * around).sum(-1, keepdim=True)
        temperature = F.softplus(self.interference_temperature) + 0.05
        gate = self.interference_gate(torch.cat([x, context], dim=-1)).sigmoid()
        return x + gate * context * (agreement / temperature).sigmoid()


class WaveField(nn.Module):
    """The language model of a config.json, given as a dictionary."""

    def __init__(self, config):
        super().__init__()
        config = {**DEFAULTS, **config}
        width, layers = config["embedding_dim"], config["num_layers"]
        self.config, self.every = config, config["interference_interval"]
        self.token_embedding = nn.Embedding(config["vocab_size"], width)
        self.dropout = nn.Dropout(config["dropout"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(layers))
        self.interference_modules = nn.ModuleList(
            Interference(width, config["dropout"])
            for _ in range(layers // self.every if self.every else 0))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        """tokens [B, N] give logits [B, N, V]; position n predicts the token at n + 1."""
        length, longest = tokens.shape[1], self.config["max_seq_len"]
        if length > longest:
            raise ValueError(f"{length} tokens, max_seq_len is {longest}")
        x = self.token_embedding(tokens)
        x = self.dropout(x + position_encoding(length, x.shape[-1]).to(x))
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if self.every and (index + 1) % self.every == 0:
                x = self.interference_modules[index // self.every](x)
        return F.linear(self.norm(x), self.token_embedding.weight)
