#include "check/check.h"

#include "base/clock.h"
#include "check/run.h"

#include <string.h>

/* Runs the case on the device and, if it ran there, on the reference. */
static wf_status run_both(const CheckCase *this, const CheckParams *params, Device *device,
                          Device *reference, CheckResult *result)
{
    Outputs outputs = {0}, expected = {0};
    double start = clock_seconds();
    wf_status status =
        case_run(&(CaseRun){this, device, false, params->bench, params->storage}, &outputs);
    if (!status) {
        status = case_run(&(CaseRun){this, reference, true, false, params->storage}, &expected);
        if (status) fail_within(status, "the reference");
    }
    result->seconds = outputs.seconds;
    if (!status) outputs_compare(&outputs, &expected, params->storage, result);
    result->elapsed = clock_seconds() - start;
    if (!status) params->report(params->context, result);
    outputs_destroy(&outputs);
    outputs_destroy(&expected);
    return status;
}

static void count(CheckTotals *totals, CheckVerdict verdict)
{
    totals->passed += verdict == CHECK_OK;
    totals->failed += verdict == CHECK_FAILED;
    totals->missing += verdict == CHECK_MISSING;
}

static void check_case(const CheckCase *this, const CheckParams *params, Device *device,
                       Device *reference, CheckTotals *totals)
{
    char name[128];
    CheckResult result = {.name = case_name(this, name, sizeof name)};
    if (params->op && strncmp(name, params->op, strlen(params->op))) return;
    wf_status status = run_both(this, params, device, reference, &result);
    if (status) {
        result.verdict = status == WF_ERROR_UNSUPPORTED ? CHECK_MISSING : CHECK_FAILED;
        result.detail = wf_error_message();
        params->report(params->context, &result);
    }
    count(totals, result.verdict);
}

wf_status check_device(Device *device, const CheckParams *params, CheckTotals *totals)
{
    *totals = (CheckTotals){0};
    Device *reference;
    TRY(backend_cpu64.open(0, &reference));
    for (int i = 0; i < n_check_cases; i++)
        check_case(&check_cases[i], params, device, reference, totals);
    backend_cpu64.close(reference);
    if (totals->passed + totals->failed + totals->missing > 0) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "no case is named \"%s…\"", params->op ? params->op : "");
}
