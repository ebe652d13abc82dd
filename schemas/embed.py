#!/usr/bin/env python3
"""Turn JSON schema files into a C table: embed.py OUTPUT FILE... (called by the build).

Each file is known by its `$id`. The text is written as numbers, so that no escaping can go wrong.
"""
import json
import sys


def main():
    output, files = sys.argv[1], sys.argv[2:]
    parts = ['/* Made by schemas/embed.py from the files of schemas/meta and schemas/types. */\n'
             '#include "schemas/embedded.h"\n']
    rows = []
    for index, path in enumerate(files):
        with open(path, 'rb') as file:
            data = file.read()
        uri = json.loads(data)['$id']
        numbers = ','.join(str(byte) for byte in data)
        parts.append(f'static const uint8_t TEXT_{index}[] = {{{numbers}}};\n')
        rows.append(f'    {{{json.dumps(uri)}, {{TEXT_{index}, sizeof(TEXT_{index})}}}},\n')
    parts.append('const struct embedded_schema EMBEDDED_SCHEMAS[] = {\n' + ''.join(rows) + '};\n')
    parts.append(f'const size_t EMBEDDED_SCHEMA_COUNT = {len(rows)};\n')
    with open(output, 'w', encoding='ascii') as file:
        file.write(''.join(parts))


main()
