#ifndef BACKENDS_VULKAN_RECORDING_H
#define BACKENDS_VULKAN_RECORDING_H

#include "backends/vulkan/vulkan.h"

/* Command buffers, each up to the step where the next begins. */
typedef struct VulkanForm {
    VkCommandBuffer *commands;
    int *ends;
    int count;
    bool recorded;     /* the command buffers are there */
    VkQueryPool times; /* two for each; none where the queue has no timestamps */
    uint64_t number;   /* of its last submission; 0: it has not run */
} VulkanForm;

typedef struct VulkanRecording {
    /* Appends step i; set by the owner. */
    wf_status (*record)(void *context, int i, VkCommandBuffer commands);
    void *context;
    int n_steps;
    double *seconds; /* a step is thought to take */
    int to_measure;  /* runs */
    VulkanForm form;
} VulkanRecording;

/* Of a list's steps. To be destroyed on failure too; a {0} may be. */
wf_status vulkan_recording_create(VulkanDevice *device, VulkanRecording *recording,
                                  const GpuList *list);
/* The queue must be idle. */
void vulkan_recording_destroy(VulkanDevice *device, VulkanRecording *recording);

/* Enqueues it, and waits for nothing. Where an earlier run is known to have been far too long in
 * one submission, or to have been cut into far too many, it is cut anew first. */
wf_status vulkan_recording_run(VulkanDevice *device, VulkanRecording *recording);

#endif
