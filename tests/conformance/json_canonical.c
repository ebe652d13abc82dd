/*
 * json-canonical: reads documents, one a line, and writes the canonical form of each, one a line; a
 * line "! why" for one that is refused. json_canonical.mjs compares that with what JavaScript does.
 */
#include "schemas/json_write.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    struct json_doc doc = {0};
    struct buf out = {0};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;

    while ((len = getline(&line, &capacity, stdin)) > 0) {
        struct json_fault fault;

        buf_clear(&out);
        if (json_scan(&doc, bytes_of(line, (size_t)len), &fault) == STATUS_OK)
            json_write(&doc, json_root(&doc), &out);
        else
            buf_printf(&out, "! %s", fault.detail);
        puts(buf_str(&out));
    }
    free(line);
    json_doc_fini(&doc);
    buf_fini(&out);
    return 0;
}
