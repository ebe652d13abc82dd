/*
 * manual_main: run by the build, never installed: writes the man pages and completions from the
 * tables they come from.
 *
 *     manual postern.1 | posternd.8 | commands.md | settings.md | postern.bash | _postern >FILE
 */
#include "ingest/settings.h"
#include "tools/manual.h"

#include <stdio.h>
#include <string.h>

static void put_server_page(struct buf *out)
{
    buf_put_str(out, ".TH POSTERND 8 \"\" \"Postern " POSTERN_VERSION "\" \"Postern\"\n"
                     ".ad l\n.SH NAME\nposternd \\- inbound webhook ingestion server\n"
                     ".SH SYNOPSIS\n.B posternd\n[\\fB\\-\\-\\fISETTING\\fR "
                     "\\fIVALUE\\fR]\\[u2026]\n"
                     ".SH DESCRIPTION\n.B posternd\ntakes business records over HTTP/2 and TLS, "
                     "checks them, and answers only when each is on disk; then it delivers a "
                     "signed event for it to every subscribed endpoint until that endpoint has "
                     "taken it.\nWhen it serves it prints one line, \\fBposternd: ready\\fR with "
                     "its addresses, and writes them to \\fIDIR\\fB/posternd.json\\fR.\n"
                     ".SH SETTINGS\n");
    settings_put_roff(out);
    buf_put_str(out, ".SH SIGNALS\n.TP\nSIGTERM, SIGINT\ndrain and exit 0\n.TP\nSIGHUP\nreload "
                     "certificate, schemas and the settings that can change\n"
                     ".SH EXIT STATUS\n0 ended when told to, 1 failed while running, 2 bad usage, "
                     "settings or schemas.\n.SH SEE ALSO\n.BR postern (1)\n");
}

int main(int argc, char **argv)
{
    struct buf text = {0};
    const char *wanted = argc == 2 ? argv[1] : "";
    if (!strcmp(wanted, "postern.1"))
        manual_put_roff(POSTERN_VERSION, &text);
    else if (!strcmp(wanted, "commands.md"))
        manual_put_markdown(&text);
    else if (!strcmp(wanted, "posternd.8"))
        put_server_page(&text);
    else if (!strcmp(wanted, "settings.md"))
        settings_put_markdown(&text);
    else if (!strcmp(wanted, "postern.bash"))
        manual_put_bash(&text);
    else if (!strcmp(wanted, "_postern"))
        manual_put_zsh(&text);
    bool is_good = text.len && text.status == STATUS_OK &&
                   fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
    buf_fini(&text);
    return is_good ? 0 : 1;
}
