// What a Node service would do with the same document and schema: JSON.parse and ajv, compiled, all
// errors, formats asserted. node ajv.mjs SCHEMA DOCUMENT; run where ajv and ajv-formats are installed.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.cwd()}/`)
const Ajv = require('ajv/dist/2020').default
const addFormats = require('ajv-formats').default ?? require('ajv-formats')

const [schemaFile, documentFile] = process.argv.slice(2)
const ajv = new Ajv({ allErrors: true, strict: false })
addFormats(ajv)
const validate = ajv.compile(JSON.parse(readFileSync(schemaFile)))
const text = readFileSync(documentFile, 'utf8')

const seconds = 2
let count = 0
for (let i = 0; i < 20000; i++) if (!validate(JSON.parse(text))) throw new Error('not valid')
const end = performance.now() + seconds * 1000
while (performance.now() < end) {
  for (let i = 0; i < 1000; i++) validate(JSON.parse(text))
  count += 1000
}
console.log(`JSON.parse and ajv ${Math.round(count / seconds)} /s`)
