/*
 * Shell completion, written out whole: one case a command. Ids are completed by asking the tool
 * itself, quietly, with the data directory of the environment.
 */
#include "tools/args.h"
#include "tools/manual.h"

static void put_verbs(const char *noun, struct buf *out)
{
    const char *space = "";
    for (const struct command *c = COMMANDS; c->noun; c++) {
        if (!strcmp(c->noun, noun) && c->verb) {
            buf_printf(out, "%s%s", space, c->verb);
            space = " ";
        }
    }
}

static void put_nouns(struct buf *out)
{
    for (const struct noun *n = NOUNS; n->name; n++)
        buf_printf(out, "%s%s", n == NOUNS ? "" : " ", n->name);
}

static void put_option_names(const struct option *options, struct buf *out)
{
    for (const struct option *o = options; o && o->name; o++)
        buf_printf(out, " --%s", o->name);
}

static void put_choices(const char *choices, struct buf *out)
{
    for (; *choices; choices++)
        buf_put_char(out, *choices == '|' ? ' ' : *choices);
}

/* What completes an argument: words, or a call of the shell's own file completion. */
static void put_argument_words(const struct command *command, struct buf *out)
{
    const char *kind = command->arguments[0].completes;
    if (!kind)
        return;
    if (!strcmp(kind, "type"))
        buf_put_str(out, " $(_postern_ids schemas type)");
    else if (!strcmp(kind, "key"))
        buf_put_str(out, " $(_postern_ids keys id)");
    else if (!strcmp(kind, "endpoint"))
        buf_put_str(out, " $(_postern_ids endpoints id)");
}

static bool takes_file(const struct command *command)
{
    for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && command->arguments[i].name; i++) {
        const char *kind = command->arguments[i].completes;
        if (kind && (!strcmp(kind, "file") || !strcmp(kind, "folder")))
            return true;
    }
    return false;
}

/* An option of one name means the same everywhere but for its choices, so one list will do. */
static void put_bash_values(struct buf *out)
{
    buf_put_str(out, "    case \"$prev\" in\n"
                     "        --output) COMPREPLY=($(compgen -W \"table json ndjson csv\" -- "
                     "\"$cur\")); return ;;\n"
                     "        --data|--schemas) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
                     "        --master-key-file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
                     "        --endpoint) COMPREPLY=($(compgen -W \"$(_postern_ids endpoints id)\" "
                     "-- \"$cur\")); return ;;\n"
                     "        --key) COMPREPLY=($(compgen -W \"$(_postern_ids keys id)\" -- "
                     "\"$cur\")); return ;;\n    esac\n"
                     "    case \"$noun $verb $prev\" in\n");
    for (const struct command *c = COMMANDS; c->noun; c++) {
        for (const struct option *o = c->options; o && o->name; o++) {
            if (!o->choices)
                continue;
            buf_printf(out, "        \"%s %s --%s\") COMPREPLY=($(compgen -W \"", c->noun,
                       c->verb ? c->verb : "", o->name);
            put_choices(o->choices, out);
            buf_put_str(out, "\" -- \"$cur\")); return ;;\n");
        }
    }
    buf_put_str(out, "    esac\n");
}

static void put_bash_command(const struct command *c, struct buf *out)
{
    buf_printf(out, "        \"%s %s\") words=\"", c->noun, c->verb ? c->verb : "");
    put_option_names(c->options, out);
    put_argument_words(c, out);
    buf_printf(out, "\"%s ;;\n", takes_file(c) ? "; COMPREPLY=($(compgen -f -- \"$cur\"))" : "");
}

/* Finds noun and verb among the words before the cursor. */
static const char BASH_HEAD[] =
    "# bash completion for postern, made from its table of commands\n"
    "_postern_ids() {\n"
    "    postern \"$1\" list --output csv 2>/dev/null | awk -F, -v name=\"$2\" \\\n"
    "        '{ sub(/\\r$/, \"\") } NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; "
    "next }\n"
    "         at { print $at }'\n"
    "}\n"
    "_postern() {\n"
    "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
    "    local noun=\"\" verb=\"\" word words=\"\" i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=\"${COMP_WORDS[i]}\"\n"
    "        case \"$word\" in\n"
    "            --data|--output|--schemas|--master-key-file) ((i++)) ;;\n"
    "            -*) ;;\n"
    "            *) if [[ -z $noun ]]; then noun=$word; elif [[ -z $verb ]]; then verb=$word; "
    "fi ;;\n"
    "        esac\n"
    "    done\n"
    "    COMPREPLY=()\n";

void manual_put_bash(struct buf *out)
{
    buf_put_str(out, BASH_HEAD);
    buf_put_str(out, "    case \"$noun\" in ");
    const char *bar = "";
    for (const struct command *c = COMMANDS; c->noun; c++) {
        if (!c->verb) {
            buf_printf(out, "%s%s", bar, c->noun);
            bar = "|";
        }
    }
    buf_put_str(out, ") verb=\"\" ;; esac\n");
    put_bash_values(out);
    buf_put_str(out, "    case \"$noun $verb\" in\n        \" \") words=\"");
    put_nouns(out);
    buf_put_str(out, "\" ;;\n");
    for (const struct command *c = COMMANDS; c->noun; c++)
        put_bash_command(c, out);
    for (const struct noun *n = NOUNS; n->name; n++) {
        struct buf verbs = {0};
        put_verbs(n->name, &verbs);
        if (verbs.len)
            buf_printf(out, "        \"%s \") words=\"%s\" ;;\n", n->name, buf_str(&verbs));
        buf_fini(&verbs);
    }
    buf_put_str(out, "    esac\n    words+=\"");
    put_option_names(GLOBAL_OPTIONS, out);
    buf_put_str(out, "\"\n    COMPREPLY+=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
                     "complete -F _postern postern\n");
}

/* ---- zsh ---- */

/* Within single quotes, for _arguments: brackets, colons and quotes would end the text. */
static void zsh_put(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_put_str(out, "'\\''");
        else if (strchr("[]:\\", *text))
            buf_printf(out, "\\%c", *text);
        else
            buf_put_char(out, *text);
    }
}

static void zsh_put_value(const struct option *option, struct buf *out)
{
    buf_put_char(out, ':');
    zsh_put(out, option->value);
    buf_put_char(out, ':');
    if (option->choices) {
        buf_put_char(out, '(');
        put_choices(option->choices, out);
        buf_put_char(out, ')');
    } else if (option->kind == VALUE_FILE) {
        buf_put_str(out, "_files");
    } else if (option->kind == VALUE_FOLDER) {
        buf_put_str(out, "_files -/");
    } else {
        buf_put_char(out, ' ');
    }
}

static void zsh_put_options(const struct option *options, struct buf *out)
{
    for (const struct option *o = options; o && o->name; o++) {
        buf_printf(out, " \\\n            '%s--%s[", o->is_repeatable ? "*" : "", o->name);
        zsh_put(out, o->help);
        buf_put_char(out, ']');
        if (o->value)
            zsh_put_value(o, out);
        buf_put_char(out, '\'');
    }
}

static void zsh_put_arguments(const struct command *c, struct buf *out)
{
    for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && c->arguments[i].name; i++) {
        const struct argument *argument = &c->arguments[i];
        const char *kind = argument->completes ? argument->completes : "";
        buf_printf(out, " \\\n            '%s:%s:%s'", argument->is_many ? "*" : "", argument->name,
                   !strcmp(kind, "file")       ? "_files"
                   : !strcmp(kind, "folder")   ? "_files -/"
                   : !strcmp(kind, "type")     ? "{_postern_ids schemas type}"
                   : !strcmp(kind, "key")      ? "{_postern_ids keys id}"
                   : !strcmp(kind, "endpoint") ? "{_postern_ids endpoints id}"
                                               : " ");
    }
}

static void zsh_put_nouns(struct buf *out)
{
    buf_put_str(out, "    if (( CURRENT == 2 )); then\n        local -a nouns=(");
    for (const struct noun *n = NOUNS; n->name; n++) {
        buf_printf(out, "\n            '%s:", n->name);
        zsh_put(out, n->summary);
        buf_put_char(out, '\'');
    }
    buf_put_str(out, ")\n        _describe command nouns\n        return\n    fi\n");
}

static void zsh_put_verbs(struct buf *out)
{
    buf_put_str(out, "    local -a verbs=()\n    case $words[2] in\n");
    for (const struct noun *n = NOUNS; n->name; n++) {
        bool is_first = true;
        for (const struct command *c = COMMANDS; c->noun; c++) {
            if (strcmp(c->noun, n->name) || !c->verb)
                continue;
            if (is_first)
                buf_printf(out, "        %s) verbs=(", n->name);
            is_first = false;
            buf_printf(out, "\n            '%s:", c->verb);
            zsh_put(out, c->summary);
            buf_put_char(out, '\'');
        }
        buf_put_str(out, is_first ? "" : ") ;;\n");
    }
    buf_put_str(out, "    esac\n"
                     "    if (( CURRENT == 3 && $#verbs )); then\n"
                     "        _describe verb verbs\n        return\n    fi\n");
}

void manual_put_zsh(struct buf *out)
{
    buf_put_str(out, "#compdef postern\n# zsh completion for postern, made from its table of "
                     "commands\n"
                     "_postern_ids() {\n"
                     "    local -a ids=(${(f)\"$(postern $1 list --output csv 2>/dev/null | awk "
                     "-F, -v name=$2 '{ sub(/\\r$/, \"\") } NR == 1 { for (i = 1; i <= NF; i++) "
                     "if ($i == name) at = i; next } at { print $at }')\"})\n"
                     "    compadd -a ids\n}\n"
                     "_postern() {\n");
    zsh_put_nouns(out);
    zsh_put_verbs(out);
    buf_put_str(out, "    local command=\"$words[2]\"\n"
                     "    (( $#verbs )) && command+=\" $words[3]\"\n"
                     "    local -i skip=$(( $#verbs ? 2 : 1 ))\n"
                     "    shift $skip words\n    (( CURRENT -= skip ))\n"
                     "    case $command in\n");
    for (const struct command *c = COMMANDS; c->noun; c++) {
        buf_printf(out, "        '%s%s%s') _arguments", c->noun, c->verb ? " " : "",
                   c->verb ? c->verb : "");
        zsh_put_options(c->options, out);
        zsh_put_options(GLOBAL_OPTIONS, out);
        zsh_put_arguments(c, out);
        buf_put_str(out, " ;;\n");
    }
    buf_put_str(out, "    esac\n}\n_postern \"$@\"\n");
}
