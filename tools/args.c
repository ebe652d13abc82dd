/*
 * Reading goes once over the words: the first two that are no options name the command; every
 * option is then looked up in the command's table and the global one and its value is checked by
 * kind. Options may stand before the command, so those are kept aside until it is known. Then the
 * whole is checked: required options, number of arguments.
 *
 * To add a kind of value, start at check_value.
 */
#include "tools/args.h"

#include "base/clock.h"
#include "storage/api_keys.h"
#include "storage/endpoints.h"
#include "tools/text.h"

#include <stdio.h>
#include <stdlib.h>

static const char *name_of(const char *word, size_t *ret_len)
{
    word += 2;
    const char *equals = strchr(word, '=');
    *ret_len = equals ? (size_t)(equals - word) : strlen(word);
    return word;
}

static const struct option *option_among(const struct option *options, const char *name,
                                         size_t name_len)
{
    for (const struct option *o = options; o && o->name; o++) {
        if (strlen(o->name) == name_len && !memcmp(o->name, name, name_len))
            return o;
    }
    return NULL;
}

static const struct option *option_find(const struct args *args, const char *name, size_t name_len)
{
    const struct option *global = option_among(GLOBAL_OPTIONS, name, name_len);
    if (global || !args->command)
        return global;
    return option_among(args->command->options, name, name_len);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (!strncmp(at, text, len) && (at[len] == '|' || !at[len]))
            return true;
    }
    return false;
}

static enum status read_number(const char *text, uint64_t min, uint64_t max, int64_t *ret_number)
{
    uint64_t number = 0;
    if (!*text || strlen(text) > 18)
        return STATUS_INVALID;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return STATUS_INVALID;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *ret_number = (int64_t)number;
    return number < min || (max && number > max) ? STATUS_INVALID : STATUS_OK;
}

static enum status read_future(struct bytes text, int64_t now_ms, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (bytes_equal_str(text, "never") || time_parse(text, ret_ms) == STATUS_OK)
        return STATUS_OK;
    if (duration_parse(text, ret_ms) != STATUS_OK || *ret_ms > INT64_MAX - now_ms)
        return STATUS_INVALID;
    *ret_ms += now_ms;
    return STATUS_OK;
}

static enum status read_duration(const struct option *option, struct bytes text, int64_t *ret_ms)
{
    if (duration_parse(text, ret_ms) != STATUS_OK)
        return STATUS_INVALID;
    bool is_within =
        (uint64_t)*ret_ms >= option->min && (!option->max || (uint64_t)*ret_ms <= option->max);
    return is_within ? STATUS_OK : STATUS_INVALID;
}

static enum status check_value(struct value *value, int64_t now_ms)
{
    const struct option *option = value->option;
    struct bytes text = bytes_of_str(value->text);
    switch (option->kind) {
    case VALUE_FLAG:
    case VALUE_FILE:
    case VALUE_FOLDER:
        return STATUS_OK;
    case VALUE_TEXT:
        return text.len < option->min || (option->max && text.len > option->max) ? STATUS_INVALID
                                                                                 : STATUS_OK;
    case VALUE_NUMBER:
        return read_number(value->text, option->min, option->max, &value->number);
    case VALUE_PAST:
        return time_or_age_parse(text, now_ms, &value->number);
    case VALUE_FUTURE:
        return read_future(text, now_ms, &value->number);
    case VALUE_DURATION:
        return read_duration(option, text, &value->number);
    case VALUE_CIDR:
        return cidr_parse(text, &value->cidr);
    case VALUE_CHOICE:
        return is_choice(option->choices, value->text) ? STATUS_OK : STATUS_INVALID;
    case VALUE_PATTERN:
        return event_pattern_check(text);
    case VALUE_SCOPE:
        return api_key_scope_check(text);
    }
    return STATUS_INVALID;
}

static void describe_bounds(const struct option *option, const char *unit, struct buf *out)
{
    if (option->max)
        buf_printf(out, " of %llu to %llu%s", (unsigned long long)option->min,
                   (unsigned long long)option->max, unit);
    else if (option->min)
        buf_printf(out, " of at least %llu%s", (unsigned long long)option->min, unit);
}

/* What would be right: completes "--limit: \"x\" is not …". */
static void describe_kind(const struct option *option, struct buf *out)
{
    char low[24], high[24];
    switch (option->kind) {
    case VALUE_NUMBER:
        buf_put_str(out, "a whole number");
        describe_bounds(option, "", out);
        return;
    case VALUE_PAST:
        buf_put_str(out, "a time such as 2026-11-20T13:00:00Z or an age such as 15m, 24h, 7d");
        return;
    case VALUE_FUTURE:
        buf_put_str(out, "a time such as 2026-11-20T13:00:00Z, a duration such as 90d, or never");
        return;
    case VALUE_DURATION:
        buf_put_str(out, "a duration such as 30s, 5m, 2h, 7d");
        if (option->max) {
            duration_format((int64_t)option->min, low);
            duration_format((int64_t)option->max, high);
            buf_printf(out, " from %s to %s", low, high);
        }
        return;
    case VALUE_CIDR:
        buf_put_str(out, "an address range such as 192.0.2.0/24 (no bits set beyond the prefix) "
                         "or an address");
        return;
    case VALUE_CHOICE:
        buf_printf(out, "one of %s", option->choices);
        return;
    case VALUE_PATTERN:
        buf_put_str(out, "an event type such as workorder.created, workorder.* or *");
        return;
    case VALUE_SCOPE:
        buf_put_str(out, "a scope such as workorder:write, *:read or events:read");
        return;
    case VALUE_TEXT:
        buf_put_str(out, "a text");
        describe_bounds(option, " bytes", out);
        return;
    case VALUE_FLAG:
    case VALUE_FILE:
    case VALUE_FOLDER:
        return;
    }
}

static enum status reject_value(const struct value *value, struct err *err)
{
    struct buf right = {0}, given = {0};
    describe_kind(value->option, &right);
    text_put_visible(&given, bytes_of_str(value->text));
    err_set(err, "--%s: \"%s\" is not %s", value->option->name, buf_str(&given), buf_str(&right));
    buf_fini(&given);
    buf_fini(&right);
    return STATUS_INVALID;
}

/* The nearest name of a list, if it is near enough to be meant. */
struct nearest {
    const char *word;
    const char *found;
    unsigned distance;
};

static void nearest_offer(struct nearest *nearest, const char *name)
{
    if (!name)
        return;
    unsigned distance = text_distance(nearest->word, name);
    bool is_start =
        strlen(nearest->word) >= 3 && !strncmp(name, nearest->word, strlen(nearest->word));
    if (is_start)
        distance = 1;
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->found = name;
    }
}

static void append_nearest(const struct nearest *nearest, const char *before, struct err *err)
{
    struct err copy = *err;
    if (nearest->found)
        err_set(err, "%.900s; did you mean %s%s?", copy.text, before, nearest->found);
}

static enum status reject_option(const struct args *args, const char *word, struct err *err)
{
    size_t len;
    const char *name = name_of(word, &len);
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)(len < 60 ? len : 60), name);
    if (args->command)
        err_set(err, "`%s%s%s` has no option --%s", args->command->noun,
                args->command->verb ? " " : "", args->command->verb ? args->command->verb : "",
                text);
    else
        err_set(err, "no option --%s", text);
    struct nearest nearest = {.word = text, .distance = 3};
    for (const struct option *o = GLOBAL_OPTIONS; o->name; o++)
        nearest_offer(&nearest, o->name);
    for (const struct option *o = args->command ? args->command->options : NULL; o && o->name; o++)
        nearest_offer(&nearest, o->name);
    append_nearest(&nearest, "--", err);
    return STATUS_INVALID;
}

static enum status add_option(struct args *args, char **words, int count, int *at, int64_t now_ms,
                              struct err *err)
{
    size_t len;
    const char *word = words[*at];
    const char *name = name_of(word, &len);
    struct value value = {.option = option_find(args, name, len)};
    if (!value.option)
        return reject_option(args, word, err);
    if (value.option->kind == VALUE_FLAG && name[len] == '=') {
        err_set(err, "--%s takes no value", value.option->name);
        return STATUS_INVALID;
    }
    if (value.option->kind != VALUE_FLAG) {
        if (name[len] != '=' && *at + 1 >= count) {
            err_set(err, "--%s needs a value: --%s %s", value.option->name, value.option->name,
                    value.option->value);
            return STATUS_INVALID;
        }
        value.text = name[len] == '=' ? name + len + 1 : words[++*at];
        if (check_value(&value, now_ms) != STATUS_OK)
            return reject_value(&value, err);
    }
    if (!value.option->is_repeatable && args_has(args, value.option->name)) {
        err_set(err, "--%s is given twice", value.option->name);
        return STATUS_INVALID;
    }
    args->values[args->value_count++] = value;
    return STATUS_OK;
}

static bool is_option_word(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2];
}

/* Short forms exist for what everybody's fingers do. */
static const char *long_form(const char *word)
{
    return !strcmp(word, "-h")   ? "--help"
           : !strcmp(word, "-V") ? "--version"
           : !strcmp(word, "-o") ? "--output"
                                 : word;
}

/* An option's place in `words` before the command is known: does it take the next word? Options
 * that only some commands have count as taking it when every command that has one of that name
 * agrees. */
static bool takes_next_word(const char *word)
{
    size_t len;
    const char *name = name_of(word, &len);
    if (name[len] == '=')
        return false;
    const struct option *option = option_among(GLOBAL_OPTIONS, name, len);
    for (const struct command *c = COMMANDS; !option && c->noun; c++)
        option = option_among(c->options, name, len);
    return option && option->kind != VALUE_FLAG;
}

static void forget_word(char **words, int *count, int at)
{
    memmove(words + at, words + at + 1, (size_t)(*count - at - 1) * sizeof(*words));
    --*count;
}

/* Takes the next word that is no option out of `words`; NULL: there is none. */
static const char *next_plain_word(char **words, int *count)
{
    for (int i = 0; i < *count; i++) {
        if (!strcmp(words[i], "--"))
            return NULL;
        if (is_option_word(words[i])) {
            i += takes_next_word(words[i]);
            continue;
        }
        const char *word = words[i];
        forget_word(words, count, i);
        return word;
    }
    return NULL;
}

static enum status reject_noun(const char *word, struct err *err)
{
    struct nearest nearest = {.word = word, .distance = 3};
    for (const struct noun *n = NOUNS; n->name; n++)
        nearest_offer(&nearest, n->name);
    err_set(err, "no command \"%.60s\"", word);
    append_nearest(&nearest, "", err);
    return STATUS_INVALID;
}

static enum status reject_verb(const char *noun, const char *word, struct err *err)
{
    struct nearest nearest = {.word = word ? word : "", .distance = word ? 3 : 0};
    struct buf verbs = {0};
    for (const struct command *c = COMMANDS; c->noun; c++) {
        if (strcmp(c->noun, noun))
            continue;
        buf_printf(&verbs, "%s%s", verbs.len ? ", " : "", c->verb);
        nearest_offer(&nearest, c->verb);
    }
    if (word)
        err_set(err, "`%s` has no \"%.60s\", only %s", noun, word, buf_str(&verbs));
    else
        err_set(err, "`%s` what? One of %s", noun, buf_str(&verbs));
    append_nearest(&nearest, "", err);
    buf_fini(&verbs);
    return STATUS_INVALID;
}

static bool is_noun(const char *word)
{
    const struct noun *n = NOUNS;
    while (n->name && strcmp(n->name, word))
        n++;
    return n->name;
}

static bool has_word(char **words, int count, const char *wanted)
{
    for (int i = 0; i < count && strcmp(words[i], "--"); i++) {
        if (!strcmp(words[i], wanted))
            return true;
    }
    return false;
}

static enum status find_command(struct args *args, char **words, int *count, struct err *err)
{
    const char *noun = next_plain_word(words, count);
    if (!noun)
        return STATUS_OK;
    args->noun = noun;
    if (!is_noun(noun))
        return reject_noun(noun, err);
    for (const struct command *c = COMMANDS; c->noun; c++) {
        if (!c->verb && !strcmp(c->noun, noun)) {
            args->command = c;
            return STATUS_OK;
        }
    }
    const char *verb = next_plain_word(words, count);
    for (const struct command *c = COMMANDS; verb && c->noun; c++) {
        if (!strcmp(c->noun, noun) && !strcmp(c->verb ? c->verb : "", verb)) {
            args->command = c;
            return STATUS_OK;
        }
    }
    if (!verb && args->is_help)
        return STATUS_OK;
    return reject_verb(noun, verb, err);
}

static enum status check_arguments(const struct args *args, struct err *err)
{
    const struct argument *arguments = args->command->arguments;
    size_t wanted = 0;
    while (wanted < COMMAND_ARGUMENTS_MAX && arguments[wanted].name)
        wanted++;
    bool is_short = args->argument_count < wanted && !arguments[args->argument_count].is_optional;
    if (is_short) {
        err_set(err, "%s is missing (%s)", arguments[args->argument_count].name,
                arguments[args->argument_count].help);
        return STATUS_INVALID;
    }
    bool is_many = wanted && arguments[wanted - 1].is_many;
    if (args->argument_count > wanted && !is_many) {
        err_set(err, "\"%.100s\" is one word too many", args->arguments[wanted]);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status check_required(const struct args *args, struct err *err)
{
    for (const struct option *o = args->command->options; o && o->name; o++) {
        if (o->is_required && !args_has(args, o->name)) {
            err_set(err, "--%s %s is missing (%s)", o->name, o->value, o->help);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

static enum status read_words(struct args *args, char **words, int count, int64_t now_ms,
                              struct err *err)
{
    bool is_plain = false;
    for (int i = 0; i < count; i++) {
        if (!is_plain && !strcmp(words[i], "--")) {
            is_plain = true;
        } else if (!is_plain && is_option_word(words[i])) {
            enum status s = add_option(args, words, count, &i, now_ms, err);
            if (s != STATUS_OK)
                return s;
        } else if (!is_plain && words[i][0] == '-' && words[i][1]) {
            err_set(err, "no option %.60s", words[i]);
            return STATUS_INVALID;
        } else {
            args->arguments[args->argument_count++] = words[i];
        }
    }
    return STATUS_OK;
}

static enum status read_all(struct args *args, char **words, int count, int64_t now_ms,
                            struct err *err)
{
    for (int i = 0; i < count && strcmp(words[i], "--"); i++)
        words[i] = (char *)(uintptr_t)long_form(words[i]);
    args->is_help = has_word(words, count, "--help");
    args->is_version = has_word(words, count, "--version");
    enum status s = find_command(args, words, &count, err);
    if (s != STATUS_OK || args->is_help || args->is_version)
        return s;
    s = read_words(args, words, count, now_ms, err);
    if (s != STATUS_OK || !args->command)
        return s;
    s = check_required(args, err);
    return s == STATUS_OK ? check_arguments(args, err) : s;
}

enum status args_read(struct args *args, int argc, char **argv, int64_t now_ms, struct err *err)
{
    int count = argc > 0 ? argc - 1 : 0;
    size_t places = (size_t)count + 1;
    char **words = calloc(places, sizeof(*words));
    args->values = calloc(places, sizeof(*args->values));
    args->arguments = calloc(places, sizeof(*args->arguments));
    enum status s = STATUS_NO_MEMORY;
    if (words && args->values && args->arguments) {
        if (count)
            memcpy(words, argv + 1, (size_t)count * sizeof(*words));
        s = read_all(args, words, count, now_ms, err);
    } else {
        err_set(err, "no memory");
    }
    free(words);
    return s;
}

void args_fini(struct args *args)
{
    free(args->values);
    free(args->arguments);
    *args = (struct args){0};
}

const struct value *args_each(const struct args *args, const char *name, size_t *at)
{
    while (*at < args->value_count) {
        const struct value *value = &args->values[(*at)++];
        if (!strcmp(value->option->name, name))
            return value;
    }
    return NULL;
}

const struct value *args_value(const struct args *args, const char *name)
{
    const struct value *last = NULL;
    for (size_t i = 0; i < args->value_count; i++) {
        if (!strcmp(args->values[i].option->name, name))
            last = &args->values[i];
    }
    return last;
}

const char *args_text(const struct args *args, const char *name)
{
    const struct value *value = args_value(args, name);
    return value ? value->text : NULL;
}

bool args_has(const struct args *args, const char *name)
{
    return args_value(args, name) != NULL;
}

int64_t args_number(const struct args *args, const char *name, int64_t otherwise)
{
    const struct value *value = args_value(args, name);
    return value ? value->number : otherwise;
}

size_t args_count(const struct args *args, const char *name)
{
    size_t at = 0, count = 0;
    while (args_each(args, name, &at))
        count++;
    return count;
}

const char *args_argument(const struct args *args, size_t i)
{
    return i < args->argument_count ? args->arguments[i] : NULL;
}

void command_put_usage(const struct command *command, struct buf *out)
{
    buf_put_str(out, command->noun);
    if (command->verb)
        buf_printf(out, " %s", command->verb);
    for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && command->arguments[i].name; i++)
        buf_printf(out, command->arguments[i].is_optional ? " [%s%s]" : " %s%s",
                   command->arguments[i].name, command->arguments[i].is_many ? "…" : "");
    for (const struct option *o = command->options; o && o->name; o++) {
        buf_printf(out, o->is_required ? " --%s" : " [--%s", o->name);
        if (o->value)
            buf_printf(out, " %s", o->value);
        buf_printf(out, "%s%s", o->is_required ? "" : "]", o->is_repeatable ? "…" : "");
    }
}
