/*
 * Design: regex_translate.c turns the pattern into PCRE2's syntax, PCRE2 compiles it with its JIT.
 * What a pattern may cost is bounded by a match limit; a pattern that runs into it is an answer of
 * its own (STATUS_LIMIT), not a "no". Variable-length lookbehind is the one construct of
 * ECMAScript's that this PCRE2 cannot compile.
 */
#include "schemas/regex.h"

#include "base/cleanup.h"
#include "schemas/regex_translate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STEPS_MAX 1000000           /* of backtracking, for one match */
#define HEAP_KIB_MAX (16 * 1024)    /* where there is no JIT */
#define JIT_STACK_START (32 * 1024) /* bytes */
#define JIT_STACK_MAX (1024 * 1024)

struct regex {
    pcre2_code *code;
};

struct regex_run {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

enum status regex_new(struct bytes pattern, struct regex **ret_regex, struct err *err)
{
    CLEANUP(buf_fini) struct buf translated = {0};
    int code = 0;
    PCRE2_SIZE offset = 0;
    *ret_regex = NULL;
    if (pattern.len > REGEX_PATTERN_BYTES_MAX) {
        err_set(err, "longer than %d bytes", REGEX_PATTERN_BYTES_MAX);
        return STATUS_INVALID;
    }
    enum status status = regex_translate(pattern, &translated, err);
    if (status != STATUS_OK)
        return status;
    struct regex *regex = calloc(1, sizeof(*regex));
    if (!regex)
        return STATUS_NO_MEMORY;
    const uint8_t *text = translated.len ? translated.data : (const uint8_t *)"";
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF |
                       PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK;
    regex->code = pcre2_compile(text, translated.len, options, &code, &offset, NULL);
    if (!regex->code) {
        char message[160] = "";
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof(message)); /* or "" */
        err_set(err, "%s", message);
        free(regex);
        return code == PCRE2_ERROR_HEAP_FAILED ? STATUS_NO_MEMORY : STATUS_INVALID;
    }
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it, it is only slower */
    *ret_regex = regex;
    return STATUS_OK;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

bool regex_is_valid(struct bytes pattern)
{
    CLEANUP(buf_fini) struct buf translated = {0};
    return pattern.len <= REGEX_PATTERN_BYTES_MAX &&
           regex_translate(pattern, &translated, NULL) == STATUS_OK;
}

struct regex_run *regex_run_new(void)
{
    struct regex_run *run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    run->context = pcre2_match_context_create(NULL);
    run->data = pcre2_match_data_create(1, NULL);
    if (!run->context || !run->data) {
        regex_run_free(run);
        return NULL;
    }
    pcre2_set_match_limit(run->context, STEPS_MAX);
    pcre2_set_depth_limit(run->context, STEPS_MAX);
    pcre2_set_heap_limit(run->context, HEAP_KIB_MAX);
    run->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    if (run->stack) /* NULL where there is no JIT */
        pcre2_jit_stack_assign(run->context, NULL, run->stack);
    return run;
}

void regex_run_free(struct regex_run *run)
{
    if (!run)
        return;
    pcre2_jit_stack_free(run->stack);
    pcre2_match_data_free(run->data);
    pcre2_match_context_free(run->context);
    free(run);
}

enum status regex_match(const struct regex *regex, struct regex_run *run, struct bytes text)
{
    const uint8_t *subject = text.len ? text.data : (const uint8_t *)"";
    int result =
        pcre2_match(regex->code, subject, text.len, 0, PCRE2_NO_UTF_CHECK, run->data, run->context);
    if (result >= 0)
        return STATUS_OK;
    if (result == PCRE2_ERROR_NOMATCH)
        return STATUS_NOT_FOUND;
    return result == PCRE2_ERROR_NOMEMORY ? STATUS_NO_MEMORY : STATUS_LIMIT;
}
