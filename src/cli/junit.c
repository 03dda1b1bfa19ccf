#include "cli/junit.h"

#include "base/files.h"

#include <string.h>

static bool xml_has(uint32_t code)
{
    return code == '\t' || code == '\n' || code == '\r' ||
           (code >= 0x20 && code != 0x7f && code != 0xfffe && code != 0xffff);
}

static const char *entity(uint32_t code)
{
    switch (code) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&apos;";
    case '\t': return "&#9;"; /* an attribute's white space would become blanks */
    case '\n': return "&#10;";
    case '\r': return "&#13;";
    default: return NULL;
    }
}

void xml_escape(Text *out, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        int length = utf8_decode(text, left, &code);
        const char *escaped = length ? entity(code) : NULL;
        if (!length || !xml_has(code))
            text_append(out, "?");
        else if (escaped)
            text_append(out, "%s", escaped);
        else
            text_append_bytes(out, text, (size_t)length);
        size_t step = length ? (size_t)length : 1;
        text += step;
        left -= step;
    }
}

static void attribute(Text *out, const char *name, const char *value)
{
    text_append(out, " %s=\"", name);
    xml_escape(out, value);
    text_append(out, "\"");
}

/* `element` is "skipped", "failure" or "error". */
static void outcome(Text *out, const char *element, const char *message)
{
    text_append(out, "      <%s", element);
    attribute(out, "message", message);
    text_append(out, "/>\n");
}

static void testcase_begin(Text *out, const CheckedDevice *device, const char *name, double seconds)
{
    text_append(out, "    <testcase classname=\"wavefield.");
    xml_escape(out, device->id);
    text_append(out, "\"");
    attribute(out, "name", name);
    text_append(out, " time=\"%.6f\">\n", seconds);
}

static void testcase(Text *out, const CheckedDevice *device, const CheckedCase *this)
{
    Text message = {0};
    testcase_begin(out, device, this->name, this->elapsed);
    if (this->verdict == CHECK_FAILED) {
        text_append(&message, "error %.3g, bound %.3g: %s", this->error, this->bound, this->detail);
        outcome(out, "failure", message.data ? message.data : "");
    } else if (this->verdict == CHECK_MISSING) {
        outcome(out, "skipped", this->detail);
    }
    text_append(out, "    </testcase>\n");
    out->failed |= message.failed;
    text_destroy(&message);
}

static void testsuite(Text *out, const CheckedDevice *device)
{
    bool error = device->problem && !device->absent;
    text_append(out, "  <testsuite");
    attribute(out, "name", device->id);
    text_append(out, " tests=\"%d\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" time=\"%.6f\">\n",
                device->n_cases + (device->problem != NULL), device->totals.failed, error,
                device->totals.missing + device->absent, device->seconds);
    text_append(out, "    <properties>\n      <property name=\"name\"");
    attribute(out, "value", device->name);
    text_append(out, "/>\n      <property name=\"driver\"");
    attribute(out, "value", device->driver);
    text_append(out, "/>\n    </properties>\n");
    if (device->problem) {
        testcase_begin(out, device, "device", 0);
        outcome(out, error ? "error" : "skipped", device->problem);
        text_append(out, "    </testcase>\n");
    }
    for (int i = 0; i < device->n_cases; i++) testcase(out, device, &device->cases[i]);
    text_append(out, "  </testsuite>\n");
}

void junit_print(Text *out, const CheckRecord *record)
{
    text_append(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"wavefield "
                     "check\">\n");
    for (int i = 0; i < record->count; i++) testsuite(out, &record->devices[i]);
    text_append(out, "</testsuites>\n");
}

wf_status junit_write(const char *path, const CheckRecord *record)
{
    Text text = {0};
    junit_print(&text, record);
    wf_status status = text.failed ? fail(WF_ERROR_MEMORY, "out of memory for %s", path)
                                   : file_write_atomic(path, text.data, text.length);
    text_destroy(&text);
    return status;
}
