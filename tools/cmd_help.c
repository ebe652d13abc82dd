/*
 * help, completion: the manual's parts, on standard output.
 */
#include "base/cleanup.h"
#include "tools/commands.h"
#include "tools/manual.h"

#include <string.h>

static const struct command *command_named(const char *noun, const char *verb)
{
    for (const struct command *c = COMMANDS; c->noun; c++) {
        bool is_verb = verb ? c->verb && !strcmp(c->verb, verb) : !c->verb;
        if (!strcmp(c->noun, noun) && is_verb)
            return c;
    }
    return NULL;
}

static bool is_noun(const char *name)
{
    for (const struct noun *n = NOUNS; n->name; n++) {
        if (!strcmp(n->name, name))
            return true;
    }
    return false;
}

int help_command(struct tool *tool, const struct args *args)
{
    CLEANUP(buf_fini) struct buf text = {0};
    const char *noun = args_argument(args, 0), *verb = args_argument(args, 1);
    if (!noun)
        manual_put_help(&text);
    else if (!is_noun(noun))
        return complain_usage(args, "no command \"%.60s\": `postern help` lists them", noun);
    else if (!verb)
        manual_put_noun_help(noun, &text);
    else if (command_named(noun, verb))
        manual_put_command_help(command_named(noun, verb), &text);
    else
        return complain_usage(args, "`%s` has no \"%.60s\": see `postern help %s`", noun, verb,
                              noun);
    output_raw(tool->out, buf_bytes(&text));
    return DONE;
}

int completion_command(struct tool *tool, const struct args *args)
{
    CLEANUP(buf_fini) struct buf text = {0};
    const char *shell = args_argument(args, 0);
    if (!strcmp(shell, "bash"))
        manual_put_bash(&text);
    else if (!strcmp(shell, "zsh"))
        manual_put_zsh(&text);
    else
        return complain_usage(args, "SHELL is bash or zsh, not \"%.60s\"", shell);
    output_raw(tool->out, buf_bytes(&text));
    return DONE;
}
