#include "train/computed_by.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void computed_by_text(char to[COMPUTED_BY_TEXT], const char *from)
{
    size_t n = 0;
    for (; from[n] && n + 1 < COMPUTED_BY_TEXT; n++)
        to[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
    to[n] = '\0';
}

ComputedBy computed_by(const DeviceInfo *info)
{
    ComputedBy by = {.tuning = info->tuning};
    computed_by_text(by.device, info->name);
    computed_by_text(by.driver, info->driver);
    computed_by_text(by.products, info->products);
    return by;
}

/* "the driver was A and is B", after what there is. */
static void append(char *text, size_t size, const char *what, const char *before, const char *now)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%sthe %s was %s and is %s", used ? "; " : "", what,
             before[0] ? before : "none", now[0] ? now : "none");
}

/* Our kernels are the same whatever the reason, after a colon, that no library is used. */
static bool same_products(const char *before, const char *now)
{
    size_t length = strcspn(before, ":");
    return length == strcspn(now, ":") && strncmp(before, now, length) == 0;
}

static const char *tuning_text(uint64_t tuning, char text[17])
{
    snprintf(text, 17, "%016" PRIx64, tuning);
    return tuning ? text : "none";
}

void computed_by_compare(const ComputedBy *before, const ComputedBy *now, char *text, size_t size)
{
    char old[17], new[17];
    text[0] = '\0';
    if (before->device[0] && strcmp(before->device, now->device) != 0) {
        append(text, size, "device", before->device, now->device); /* the rest goes with it */
        return;
    }
    if (before->device[0] && strcmp(before->driver, now->driver) != 0)
        append(text, size, "driver", before->driver, now->driver);
    if (before->device[0] && !same_products(before->products, now->products))
        append(text, size, "library of products", before->products, now->products);
    if (before->tuning != now->tuning)
        append(text, size, "tuning of products", tuning_text(before->tuning, old),
               tuning_text(now->tuning, new));
}
