/* What `wavefield check` says of a record: a line a case, a table, JSON. */
#ifndef CLI_CHECK_REPORT_H
#define CLI_CHECK_REPORT_H

#include "check/record.h"

const char *verdict_name(CheckVerdict verdict); /* "ok", "FAIL", "missing" */

void print_result(const CheckResult *result, bool timed);

/* "vulkan:0 (llvmpipe …): 278 ok, 0 failed, 0 missing", and of which ops cases are missing. */
void print_totals(const CheckedDevice *device);

/* A row a device, in Markdown. */
void print_table(const CheckRecord *record);

/* One device's object, or with `all` an object of all devices, the absent ones too. */
wf_status check_write_json(const char *path, const CheckRecord *record, bool all, bool timed);

#endif
