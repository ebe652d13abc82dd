// What Postern writes must be what JavaScript writes: JSON.stringify(JSON.parse(text)), byte for byte.
//     node json_canonical.mjs JSON-CANONICAL
// The one exception: a number whose value a double cannot hold keeps the digits it came with.
// Each case is many documents made from a seed. Ends with "N passed, N failed".
import { execFileSync } from 'node:child_process'

const program = process.argv[2]
const DOCUMENTS = 20000

// mulberry32: the same documents on every machine.
let state = 0x9e3779b9
function random() {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
const below = n => Math.floor(random() * n)
const pick = list => list[below(list.length)]
const digits = n => Array.from({ length: n }, () => below(10)).join('')

function anyDouble() {
  const view = new DataView(new ArrayBuffer(8))
  do {
    view.setUint32(0, below(4294967296))
    view.setUint32(4, below(4294967296))
  } while (!Number.isFinite(view.getFloat64(0)))
  return view.getFloat64(0)
}

const shapes = [
  () => String(below(1e6) - 5e5),
  () => String(anyDouble()),
  () => anyDouble().toExponential(below(21)),
  () => String(random() * 10 ** (below(40) - 20)),
  () => (random() * 1e4).toFixed(below(20)),
  () => `${below(1e9)}e${below(590) - 300}`,
  () => `${pick(['', '-'])}0${pick(['', '.0', '.000e7', '.5e3', '.25', '.250', '.05', 'e5'])}`,
  () => `${below(100)}.${digits(1 + below(6))}e${below(12) - 6}`,
  () => `${below(1e9)}.${'0'.repeat(below(8))}${below(1000)}E+${below(20)}`,
  () => `1${digits(below(30))}`,
  () => `0.${'0'.repeat(below(12))}${digits(1 + below(20))}`,
  () => String(2 ** (below(2046) - 1022)),
  () => String(Number.MAX_SAFE_INTEGER + below(1000) - 500),
  () => `${1 + below(9)}e-${300 + below(30)}`,
]
const number = () => pick(shapes)()

const unit = code => `\\u${code.toString(16).padStart(4, '0')}`
const characters = [
  () => pick(['a', ' ', '~', '/', '\x7f', '1']),
  () => pick(['é', '€', '\u2028', '\u2029', '\ufeff', '\uffff']),
  () => String.fromCodePoint(0x10000 + below(0x100000)),
  () => `\\${pick([...'"\\/bfnrt'])}`,
  () => unit(below(0xd800)),
  () => unit(0xe000 + below(0x2000)).toUpperCase().replace('\\U', '\\u'),
  () => unit(0xd800 + below(0x400)) + unit(0xdc00 + below(0x400)),
  () => unit(below(0x80)),
]
const string = () => `"${Array.from({ length: below(24) }, () => pick(characters)()).join('')}"`

const indexes = [() => below(20), () => below(5e9), () => pick(['4294967294', '4294967295', '01', '-1', '1.5'])]
function name() {
  if (below(3) > 0) return string()
  const index = String(pick(indexes)())
  return below(8) > 0 ? `"${index}"` : `"${unit(index.charCodeAt(0))}${index.slice(1)}"`
}

const space = () => pick(['', '', '', ' ', '\t', '\r', '  '])

function object(depth) {
  const seen = new Set()
  const members = []
  for (let i = below(8); i > 0; i--) {
    const text = below(30) > 0 ? name() : '"__proto__"'
    if (seen.has(JSON.parse(text))) continue
    seen.add(JSON.parse(text))
    members.push(`${space()}${text}${space()}:${space()}${value(depth + 1)}${space()}`)
  }
  return `{${members.join(',')}}`
}
function array(depth) {
  const elements = Array.from({ length: below(5) }, () => `${space()}${value(depth + 1)}${space()}`)
  return `[${elements.join(',')}]`
}
function value(depth) {
  const kind = below(depth > 4 ? 4 : 7)
  if (kind === 0) return number()
  if (kind === 1) return string()
  if (kind < 4) return pick(['true', 'false', 'null'])
  return kind === 4 ? array(depth) : object(depth)
}

// Sign, significant digits and power of ten: equal for equal values, whatever the notation.
function decimal(text) {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)
  const all = (whole + fraction).replace(/^0+/, '')
  const significant = all.replace(/0+$/, '')
  if (significant === '') return '0'
  return `${sign}${significant}e${Number(exponent) - fraction.length + all.length - significant.length}`
}

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[^"\d-]+/gs
// Why this is not what should have been written; undefined where it is.
function complaint(input, output) {
  const expected = JSON.stringify(JSON.parse(input))
  if (output === expected) return undefined
  const wanted = expected.match(TOKENS)
  const got = output.match(TOKENS)
  for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
    if (wanted[i] === got[i]) continue
    const isNumber = /^-?\d/.test(got[i] ?? '') && /^-?\d/.test(wanted[i] ?? '')
    if (!isNumber || !input.includes(got[i])) return `${got[i]} instead of ${wanted[i]}`
    if (decimal(got[i]) === decimal(wanted[i])) return `${got[i]} fits a double: ${wanted[i]}`
  }
  return undefined
}

function run(title, make) {
  const inputs = Array.from({ length: DOCUMENTS }, make)
  const output = execFileSync(program, { input: inputs.join('\n') + '\n', maxBuffer: 1 << 30 })
  const lines = output.toString().split('\n')
  for (let i = 0; i < inputs.length; i++) {
    const why = complaint(inputs[i], lines[i])
    if (why === undefined) continue
    console.log(`FAILED ${title}: ${why}\n  in  ${inputs[i]}\n  out ${lines[i]}`)
    return false
  }
  return true
}

const cases = {
  'numbers in every notation': number,
  'the shortest form of any double': () => String(anyDouble()),
  'strings with every escape': string,
  'objects with integer-like names': () => object(4),
  'whole documents': () => value(0),
}
const results = Object.entries(cases).map(([title, make]) => run(title, make))
const failed = results.filter(isRight => !isRight).length
console.log(`${results.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
