/*
 * postern: the tools binary. Reads the command line and the environment, runs one command of the
 * table (commands.c), flushes what it said.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/streams.h"
#include "tools/commands.h"
#include "tools/manual.h"

#include <stdio.h>

#define DATA_DEFAULT "/var/lib/postern"

static const char *setting(const struct args *args, const char *option, const char *variable)
{
    const char *text = args_text(args, option);
    if (text)
        return text;
    text = getenv(variable);
    return text && *text ? text : NULL;
}

static int say(struct buf *text)
{
    bool is_written = fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0;
    return is_written ? DONE : FAILED;
}

static int say_help(const struct args *args)
{
    CLEANUP(buf_fini) struct buf text = {0};
    if (args->command)
        manual_put_command_help(args->command, &text);
    else if (args->noun)
        manual_put_noun_help(args->noun, &text);
    else
        manual_put_help(&text);
    return say(&text);
}

static int say_version(void)
{
    CLEANUP(buf_fini) struct buf text = {0};
    buf_put_str(&text, "postern " POSTERN_VERSION "\n");
    return say(&text);
}

static int prepare(struct tool *tool, const struct args *args)
{
    enum output_format format = OUTPUT_TABLE;
    const char *output = setting(args, "output", "POSTERN_OUTPUT");
    if (output && output_format_parse(output, &format) != STATUS_OK)
        return complain_usage(args, "POSTERN_OUTPUT: \"%s\" is not table, json, ndjson or csv",
                              output);
    const char *data = setting(args, "data", "POSTERN_DATA");
    if (data && !*data)
        return complain_usage(args, "--data: a directory is wanted, not \"\"");
    tool->data = data ? data : DATA_DEFAULT;
    tool->schemas = setting(args, "schemas", "POSTERN_SCHEMAS");
    tool->out = output_new(STDOUT_FILENO, format, output_terminal_of(STDOUT_FILENO));
    return tool->out ? DONE : complain("no memory");
}

static int run(const struct args *args, int64_t now_ms)
{
    CLEANUP(tool_fini) struct tool tool = {.now_ms = now_ms};
    int result = prepare(&tool, args);
    if (result == DONE)
        result = args->command->run(&tool, args);
    if (tool.out && output_flush(tool.out) != STATUS_OK)
        return complain("standard output: cannot be written");
    return result;
}

static int run_or_explain(struct args *args, int argc, char **argv, int64_t now_ms)
{
    struct err err = {0};
    if (args_read(args, argc, argv, now_ms, &err) != STATUS_OK)
        return complain_usage(args, "%s", err.text);
    if (args->is_version)
        return say_version();
    if (args->is_help)
        return say_help(args);
    if (!args->command)
        return complain_usage(args, "no command given: `postern --help` lists them");
    return run(args, now_ms);
}

int main(int argc, char **argv)
{
    streams_keep_standard();
    uint64_t seed;
    struct args args = {0};
    random_bytes(&seed, sizeof(seed));
    json_seed(seed);
    int result = run_or_explain(&args, argc, argv, clock_wall_ms(&SYSTEM_CLOCK));
    args_fini(&args);
    return result;
}
