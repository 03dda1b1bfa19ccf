/* The field operator alone: its forward pass, its gradients, and a wave learned from them.
 *
 *     field [STEPS]
 *
 * A hidden wave k(t) = e^(-αt)·cos(ωt + φ)/Z turns deposits u on a line of cells into readings r.
 * From u and r alone, gradient descent finds ω, φ and α again. No model, no tokens: this is a
 * causal damped-wave convolution to put into anything that learns. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wavefield/field.h"

enum { BATCH = 4, TOKENS = 128, ELEMENTS = BATCH * TOKENS };

static void check(wf_status status)
{
    if (status == WF_OK) return;
    fprintf(stderr, "%s: %s\n", wf_status_name(status), wf_error_message());
    exit(1);
}

/* Any noise will do: a linear congruential generator, to [-1, 1). */
static float noise(void)
{
    static unsigned long state = 1;
    state = (state * 1103515245ul + 12345ul) & 0x7ffffffful;
    return (float)state / (float)0x40000000 - 1.0f;
}

static double softplus(double x)
{
    return log1p(exp(x));
}

/* One step of Adam (Kingma and Ba, 2015) for one number. */
static float adam(float gradient, int step, float moments[2])
{
    moments[0] = 0.9f * moments[0] + 0.1f * gradient;
    moments[1] = 0.99f * moments[1] + 0.01f * gradient * gradient;
    float mean = moments[0] / (1.0f - powf(0.9f, (float)step));
    float square = moments[1] / (1.0f - powf(0.99f, (float)step));
    return 0.02f * mean / (sqrtf(square) + 1e-8f);
}

int main(int argc, char **argv)
{
    int steps = argc > 1 ? atoi(argv[1]) : 400;
    static float u[ELEMENTS], target[ELEMENTS], r[ELEMENTS], dr[ELEMENTS];
    const float hidden[3] = {0.8f, -1.5f, 0.5f}; /* ω, damping, φ: what is to be found */
    float wave[3] = {0.65f, -0.5f, 0.0f}, gradient[3], moments[3][2] = {{0}};

    wf_device *device;
    wf_field *field;
    check(wf_device_open("auto", &device));
    /* One head of one channel: u and r are [BATCH, TOKENS, 1, 1]; a token sits at every second
     * cell. */
    check(wf_field_create(device,
                          wf_field_params(.batch = BATCH, .tokens = TOKENS, .heads = 1, .width = 1,
                                          .cells = 2 * TOKENS - 1),
                          &field));

    for (int i = 0; i < ELEMENTS; i++) u[i] = noise();
    check(wf_field_set_kernel(field, &hidden[0], &hidden[1], &hidden[2]));
    check(wf_field_forward(field, u, target));

    double first = 0, loss = 0;
    for (int step = 1; step <= steps; step++) {
        check(wf_field_set_kernel(field, &wave[0], &wave[1], &wave[2]));
        check(wf_field_forward(field, u, r));
        loss = 0; /* half the mean square of r - target, whose gradient is dr */
        for (int i = 0; i < ELEMENTS; i++) {
            dr[i] = (r[i] - target[i]) / ELEMENTS;
            loss += 0.5 * (double)(r[i] - target[i]) * (double)dr[i];
        }
        check(wf_field_backward(field, dr, NULL, &gradient[0], &gradient[1], &gradient[2]));
        for (int k = 0; k < 3; k++) wave[k] -= adam(gradient[k], step, moments[k]);
        if (step == 1) first = loss;
        if (step == 1 || step % 100 == 0)
            printf("step %4d  loss %.3e  omega %.4f  alpha %.4f  phi %.4f\n", step, loss,
                   (double)wave[0], softplus((double)wave[1]), (double)wave[2]);
    }
    printf("hidden                      omega %.4f  alpha %.4f  phi %.4f\n", (double)hidden[0],
           softplus((double)hidden[1]), (double)hidden[2]);

    wf_field_destroy(field);
    wf_device_close(device);
    return loss < 1e-6 * first ? 0 : 1;
}
