/* A list of steps as command buffers, cut so that none runs for long: some drivers reset a device
 * after two seconds. Where to cut follows from what the steps are estimated to cost; timestamps on
 * the first runs correct the estimate. */
#include "backends/vulkan/recording.h"

#include <stdlib.h>
#include <string.h>

/* Runs that are measured, how many times the target is too long for a submission, and what part of
 * it too short for them all, as each costs some microseconds. */
enum { MEASURED_RUNS = 3, TOO_LONG = 2, TOO_SHORT = 4 };

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for a program");
}

/* The first step that the submission beginning at `first` leaves to the next. */
static int piece_end(const VulkanRecording *recording, double most, int first)
{
    double seconds = 0;
    int end = first;
    while (end < recording->n_steps) {
        seconds += recording->seconds[end];
        if (end > first && seconds > most) break;
        end++;
    }
    return end;
}

/* ---- one form of it ---- */

static void form_destroy(VulkanDevice *device, VulkanForm *form)
{
    if (form->recorded)
        vkFreeCommandBuffers(device->device, device->pool, (uint32_t)form->count, form->commands);
    vkDestroyQueryPool(device->device, form->times, NULL);
    free(form->commands);
    free(form->ends);
    *form = (VulkanForm){0};
}

static wf_status create_times(VulkanDevice *device, VulkanForm *form)
{
    if (!device->timestamp_bits) return WF_OK;
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = 2 * (uint32_t)form->count};
    TRY_VULKAN_MAKE(device, form->times,
                    vkCreateQueryPool(device->device, &info, NULL, &form->times), "recording");
    return WF_OK;
}

/* Both stamps are taken when everything before them is done: between them are the steps alone. */
static void stamp(const VulkanForm *form, VkCommandBuffer commands, uint32_t query)
{
    if (form->times)
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, form->times, query);
}

static wf_status record_piece(VulkanDevice *device, const VulkanRecording *recording,
                              const VulkanForm *form, int piece)
{
    VkCommandBuffer commands = form->commands[piece];
    uint32_t query = 2 * (uint32_t)piece;
    TRY(vulkan_commands_begin(device, commands, VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT));
    if (form->times) vkCmdResetQueryPool(commands, form->times, query, 2);
    stamp(form, commands, query);
    for (int i = piece ? form->ends[piece - 1] : 0; i < form->ends[piece]; i++)
        TRY(recording->record(recording->context, i, commands));
    stamp(form, commands, query + 1);
    return vulkan_commands_end(device, commands);
}

/* `form` starts as {0}, and is to be destroyed on failure too. */
static wf_status record(VulkanDevice *device, const VulkanRecording *recording, VulkanForm *form)
{
    int count = 0, steps = recording->n_steps;
    for (int i = 0; i < steps; i = piece_end(recording, device->target, i)) count++;
    form->commands = calloc((size_t)count + 1, sizeof *form->commands);
    form->ends = calloc((size_t)count + 1, sizeof *form->ends);
    if (!form->commands || !form->ends) return out_of_memory();
    if (count == 0) return WF_OK;
    form->count = count;
    for (int c = 0, i = 0; c < count; c++)
        form->ends[c] = i = piece_end(recording, device->target, i);
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = device->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = (uint32_t)count};
    TRY_VULKAN(device, vkAllocateCommandBuffers(device->device, &info, form->commands),
               "recording");
    form->recorded = true;
    TRY(create_times(device, form));
    for (int c = 0; c < count; c++) TRY(record_piece(device, recording, form, c));
    return WF_OK;
}

wf_status vulkan_recording_create(VulkanDevice *device, VulkanRecording *recording,
                                  const GpuList *list)
{
    recording->n_steps = list->n_steps;
    recording->seconds = calloc((size_t)list->n_steps + 1, sizeof *recording->seconds);
    if (!recording->seconds) return out_of_memory();
    for (int i = 0; i < list->n_steps; i++)
        recording->seconds[i] = list->steps[i].cost / device->rate;
    recording->to_measure = device->timestamp_bits ? MEASURED_RUNS : 0;
    return record(device, recording, &recording->form);
}

void vulkan_recording_destroy(VulkanDevice *device, VulkanRecording *recording)
{
    form_destroy(device, &recording->form);
    free(recording->seconds);
    recording->seconds = NULL;
}

/* ---- measuring ---- */

/* How long each submission of the last run took; false where the driver does not say. */
static bool read_times(VulkanDevice *device, const VulkanForm *form, double *seconds)
{
    size_t n = 2 * (size_t)form->count;
    uint64_t *stamps = calloc(n, sizeof *stamps);
    bool known = stamps && vkGetQueryPoolResults(device->device, form->times, 0, (uint32_t)n,
                                                 n * sizeof *stamps, stamps, sizeof *stamps,
                                                 VK_QUERY_RESULT_64_BIT) == VK_SUCCESS;
    uint64_t mask =
        device->timestamp_bits < 64 ? ((uint64_t)1 << device->timestamp_bits) - 1 : UINT64_MAX;
    for (int c = 0; known && c < form->count; c++)
        seconds[c] = (double)((stamps[2 * c + 1] - stamps[2 * c]) & mask) * device->tick;
    free(stamps);
    return known;
}

/* Scales the steps' estimates to what was measured. True: a submission was far too long, and can be
 * cut, or there are far too many. Programs made later on this device start from a slower rate,
 * where it was slower. */
static bool correct(VulkanDevice *device, VulkanRecording *recording, const double *took)
{
    bool too_long = false;
    double measured = 0, estimated = 0;
    for (int c = 0, first = 0; c < recording->form.count; first = recording->form.ends[c++]) {
        int end = recording->form.ends[c];
        double estimate = 0;
        for (int i = first; i < end; i++) estimate += recording->seconds[i];
        measured += took[c];
        estimated += estimate;
        if (took[c] > TOO_LONG * device->target && end > first + 1) too_long = true;
        if (!(took[c] > 0 && estimate > 0)) continue;
        for (int i = first; i < end; i++) recording->seconds[i] *= took[c] / estimate;
    }
    if (too_long && measured > estimated) device->rate *= estimated / measured;
    double whole = device->target * recording->form.count;
    return too_long || (recording->form.count > 1 && TOO_SHORT * measured < whole);
}

/* The new form where it can be made; else the old one goes on. */
static void record_again(VulkanDevice *device, VulkanRecording *recording)
{
    VulkanForm form = {0};
    if (record(device, recording, &form)) {
        recording->to_measure = 0;
        form_destroy(device, &form);
        return;
    }
    form_destroy(device, &recording->form); /* its last run is done */
    recording->form = form;
}

static wf_status measure(VulkanDevice *device, VulkanRecording *recording)
{
    bool done = false;
    TRY(vulkan_done(device, recording->form.number, &done));
    if (!done || recording->form.number == 0) return WF_OK;
    double *took = calloc((size_t)recording->form.count, sizeof *took);
    if (!took) return out_of_memory();
    recording->to_measure--;
    bool anew = read_times(device, &recording->form, took) && correct(device, recording, took);
    free(took);
    if (anew) record_again(device, recording);
    return vulkan_alive(device);
}

wf_status vulkan_recording_run(VulkanDevice *device, VulkanRecording *recording)
{
    TRY(vulkan_alive(device));
    if (recording->form.count == 0) return WF_OK;
    if (recording->to_measure > 0) TRY(measure(device, recording));
    VulkanForm *form = &recording->form;
    for (int c = 0; c < form->count; c++) TRY(vulkan_submit(device, form->commands[c]));
    form->number = device->submitted;
    return WF_OK;
}
