// The service that a Node team would write for the same work, to be measured beside Postern: Fastify,
// Ajv compiled from the same schema file, lmdb-js. It checks the API key, validates, finds the record
// by its key, stores revision, indexes and events in one transaction, and answers when that is flushed
// to disk, with the same members and fields as Postern. Its two windows of a key are counted in memory
// and estimated from the window before, as is usual. It has no idempotency, history of refusals or
// deliveries.
//
//     node node_service.mjs DIR SCHEMA CERT KEY PROCESSES      run where its packages are installed
//
// Prints its TLS (HTTP/2 and 1.1) and cleartext HTTP/1.1 addresses on one line; ends with SIGTERM.
import cluster from 'node:cluster'
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.cwd()}/`)
const Fastify = require('fastify')
const Ajv = require('ajv/dist/2020').default
const addFormats = require('ajv-formats').default ?? require('ajv-formats')
const { open } = require('lmdb')

const [dir, schemaFile, certFile, keyFile, processes] = process.argv.slice(2)
const windowsOf = limit => [['minute', 60], ['hour', 3600]].map(([name, seconds]) =>
  ({ name, seconds, limit, start: 0, count: 0, before: 0 }))
const apiKeys = [{
  id: 1, digest: createHash('sha256').update('bench').digest(), scope: 'workorder:write',
  windows: windowsOf(1e9), policy: windowsOf(1e9).map(w => `"${w.name}";q=${w.limit};w=${w.seconds}`).join(', '),
}]

function openStore() {
  const root = open({ path: dir, maxDbs: 8 })
  const table = (name, options) => root.openDB({ name, ...options })
  const revisions = table('revisions', { encoding: 'binary' })
  const keys = table('keys')
  const byType = table('by_type')
  const events = table('events')
  let lastTime = 0

  const assigned = bytes => new Set(JSON.parse(bytes).assignments?.map(one => one.employeeId))

  // Time-ordered: 48 bits of milliseconds, then random, as UUIDv7 has them.
  const newId = now => (lastTime = Math.max(lastTime, now)).toString(16).padStart(12, '0') +
    Math.random().toString(16).slice(2, 14).padEnd(12, '0')

  return async function put(type, key, body, bytes) {
    const now = Date.now()
    const stored = await root.transaction(() => {
      const known = keys.get([type, key])
      const record = known?.record ?? newId(now)
      const revision = (known?.revision ?? 0) + 1
      const previous = known && revisions.get([record, known.revision])
      if (known && Buffer.compare(previous, bytes) === 0)
        return { record, revision: known.revision, action: 'unchanged', raised: [] }
      const action = known ? 'updated' : 'created'
      let sequence = 0
      for (const last of events.getKeys({ reverse: true, limit: 1 })) sequence = last
      const before = known ? assigned(previous) : new Set()
      const names = [`${type}.${action}`, ...(body.assignments ?? [])
        .filter(one => !before.has(one.employeeId)).map(() => 'employee.assigned')]
      const raised = names.map(event => ({ id: newId(now), event }))
      revisions.put([record, revision], bytes)
      keys.put([type, key], { record, revision })
      byType.put([type, now, record], revision)
      events.put(sequence + raised.length, { raised, record, revision, now })
      return { record, revision, action, raised }
    })
    await root.flushed
    return { stored, now }
  }
}

function apiKeyOf(request) {
  const digest = createHash('sha256').update(request.headers['x-api-key'] ?? '').digest()
  return apiKeys.find(known => timingSafeEqual(known.digest, digest))
}

// False: over one of its limits.
function admit(apiKey, reply) {
  const now = Date.now() / 1000
  let isAdmitted = true
  for (const window of apiKey.windows) {
    const passed = now - window.start
    if (passed >= window.seconds) {
      window.before = passed < 2 * window.seconds ? window.count : 0
      window.start = now - passed % window.seconds
      window.count = 0
    }
    window.reset = window.start + window.seconds - now
    const used = window.count + window.before * window.reset / window.seconds
    window.remaining = Math.max(0, Math.floor(window.limit - used) - 1)
    isAdmitted &&= used < window.limit
  }
  if (isAdmitted) for (const window of apiKey.windows) window.count++
  const [minute, hour] = apiKey.windows
  const least = hour.remaining < minute.remaining ? hour : minute
  reply.headers({
    'x-ratelimit-limit': least.limit,
    'x-ratelimit-remaining': least.remaining,
    'x-ratelimit-reset': Math.ceil(now + least.reset),
    'ratelimit-policy': apiKey.policy,
    ratelimit: `"minute";r=${minute.remaining};t=${Math.ceil(minute.reset)}, ` +
      `"hour";r=${hour.remaining};t=${Math.ceil(hour.reset)}`,
  })
  return isAdmitted
}

async function serve(put, options) {
  const ajv = new Ajv({ allErrors: true, strict: false })
  addFormats(ajv)
  const app = Fastify({ bodyLimit: 1 << 20, ...options })
  app.setValidatorCompiler(({ schema }) => ajv.compile(schema))
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      request.bytes = body
      done(null, JSON.parse(body.toString()))
    } catch (error) {
      error.statusCode = 400
      done(error)
    }
  })
  app.post('/api/webhook/workorder', {
    schema: { body: JSON.parse(readFileSync(schemaFile)) },
    onRequest: async (request, reply) => {
      const apiKey = apiKeyOf(request)
      reply.header('x-request-id', request.id)
      if (!apiKey) return reply.code(401).send({ title: 'Unauthorized' })
      if (!admit(apiKey, reply)) return reply.code(429).send({ title: 'Too Many Requests' })
      if (apiKey.scope !== 'workorder:write') return reply.code(403).send({ title: 'Forbidden' })
    },
  }, async (request, reply) => {
    const key = request.body.workOrderNumber
    const { stored, now } = await put('workorder', key, request.body, request.bytes)
    reply.header('etag', `"${stored.revision}"`)
    return {
      id: `wo_${stored.record}`, type: 'workorder', key, action: stored.action,
      revision: stored.revision, receivedAt: new Date(now).toISOString(),
      events: stored.raised.map(({ id, event }) => ({ id: `evt_${id}`, event })),
    }
  })
  // A cluster's workers share a port only if it is named by the first of them.
  return app
}

const tls = { http2: true, https: { allowHTTP1: true, cert: readFileSync(certFile), key: readFileSync(keyFile) } }

if (cluster.isPrimary) {
  const found = []
  for (let i = 0; i < Number(processes); i++) cluster.fork()
  cluster.on('message', (worker, addresses) => {
    found.push(addresses)
    if (found.length === Number(processes)) console.log(`${addresses.tls} ${addresses.clear}`)
  })
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL')
    process.exit(0)
  })
} else {
  const put = openStore()
  const listen = async options => (await serve(put, options)).listen({ host: '127.0.0.1', port: 0 })
  process.send({ tls: await listen(tls), clear: await listen({}) })
  process.on('disconnect', () => process.exit(0))
}
