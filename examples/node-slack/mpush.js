// The protocol half of an mpush channel in JavaScript: the handshake, the calls
// of the core, one stream for all traffic, and the end of the process. Copy it
// with the folder proto beside your own channel; it knows nothing of any service.
//
// A channel is an object with these methods; those with "?" may be missing:
//
//   describe()              { name, version, description, schema, roles, statuses }
//   configure(section, channel)?   keeps its section of the config, which fits the schema and
//                           has its defaults; returns diagnostics. No other effect
//   declare(host)?          the routes that the section names: [{ receiver, group, policy }]
//   start(host)?            opens what it listens on; returns addresses for the log
//   deliver(delivery, signal)   sends one message to one receiver; returns an outcome.
//                           For one receiver one call at a time. signal aborts
//                           when the result does not matter any more
//   health()?               "" or why it works badly
//   stop()?                 closes what it has opened
//
// It keeps routes with a prefetch of 1, the default: the core then gives one
// message at a time for each receiver.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Console } from 'node:console'
import { fileURLToPath } from 'node:url'
import grpc from '@grpc/grpc-js'
import protoLoader from '@grpc/proto-loader'
import { check, withDefaults } from './schema.js'

const COOKIE_KEY = 'MPUSH_PLUGIN'
const COOKIE_VALUE = 'b1d97e3c5f0a4826ae7346d80c2f95be'
const DEBUG = 'MPUSH_PLUGIN_DEBUG' // run by hand: the socket at which to wait for a core that has "reattach"
const PROTOCOL = 1
const MAX_ENVELOPES = 256 // in a frame that is sent
const MAX_ERROR_CHARS = 500
const LAST_DRAIN_MS = 2000 // for a channel whose core is gone
const DEFAULT_DRAIN_MS = 5000

// outcome makes what deliver returns. Errors are for the operator: no secrets,
// no message text.
export const outcome = {
  // The receiver itself has it.
  acked: () => ({ kind: 'OUTCOME_KIND_ACKED' }),
  // Somebody else's service has it.
  handedOff: () => ({ kind: 'OUTCOME_KIND_HANDED_OFF' }),
  // Later again, not before afterMs; 0 leaves the pause to the route's policy.
  retry: (error, afterMs = 0) => ({ kind: 'OUTCOME_KIND_RETRY', error, retry_after_ms: afterMs }),
  // This message can never be delivered: it becomes a dead letter.
  rejected: (error) => ({ kind: 'OUTCOME_KIND_REJECTED', error }),
  // This route is no more: it is dropped until the channel starts again.
  gone: (error) => ({ kind: 'OUTCOME_KIND_GONE', error })
}

// log writes a line that the core takes over with its level and fields.
export function log (level, msg, fields = {}) {
  process.stderr.write(JSON.stringify({ time: new Date().toISOString(), level, msg, ...fields }) + '\n')
}

// serve makes the process a channel. main calls it and does nothing else.
export function serve (channel) {
  const byHand = process.env[COOKIE_KEY] !== COOKIE_VALUE
  if (byHand && !process.env[DEBUG]) {
    process.stderr.write('this is an mpush channel plugin; it is not run by hand: name it in the "plugins" section of mpush\'s config.json\n')
    process.exit(1)
  }
  const versions = (process.env.PLUGIN_PROTOCOL_VERSIONS ?? String(PROTOCOL)).split(',').map(Number)
  if (!versions.includes(PROTOCOL)) {
    process.stderr.write(`the core speaks the protocol versions ${versions}, this plugin ${PROTOCOL}\n`)
    process.exit(1)
  }
  const life = new Life(channel)
  if (!byHand) {
    globalThis.console = new Console(process.stderr, process.stderr)
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // the core is gone: stdin says so
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {}) // the core says when to stop
    process.stdin.on('end', () => life.over()).on('error', () => life.over()).resume()
  }

  const server = new grpc.Server()
  server.addService(load('plugin.proto').mpush.plugin.v1.Plugin.service, life.calls())
  server.addService(load('controller.proto').plugin.GRPCController.service, {
    Shutdown: (call, answer) => {
      answer(null, {})
      setImmediate(() => life.over())
    }
  })
  server.addService(load('health.proto').grpc.health.v1.Health.service, {
    Check: (call, answer) => ['', 'plugin'].includes(call.request.service)
      ? answer(null, { status: 'SERVING' })
      : answer({ code: grpc.status.NOT_FOUND, details: 'unknown service' })
  })
  const socket = byHand ? path.resolve(process.env[DEBUG]) : path.join(process.env.PLUGIN_UNIX_SOCKET_DIR ?? ownDirectory(), 'plugin.sock')
  if (byHand) {
    fs.rmSync(socket, { force: true })
    process.umask(0o077)
  }
  server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (err) => {
    if (err) {
      process.stderr.write(`${err.message}\n`)
      process.exit(1)
    }
    if (byHand) process.stderr.write(`waiting for mpush; the plugin's entry: { "reattach": ${JSON.stringify(socket)}, "config": {…} }\n`)
    else fs.writeSync(1, `1|${PROTOCOL}|unix|${socket}|grpc\n`)
  })
}

// ownDirectory makes a place for the socket, for a host that gives none.
function ownDirectory () {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'plugin'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

function load (file) {
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true }
  const at = path.join(path.dirname(fileURLToPath(import.meta.url)), 'proto', file)
  return grpc.loadPackageDefinition(protoLoader.loadSync(at, options))
}

// Life is one life of a channel: the calls of its core, in their order, and what
// it holds between them.
class Life {
  constructor (channel) {
    this.channel = channel
    this.configured = false
    this.stream = null
    this.declared = new Promise((resolve, reject) => Object.assign(this, { resolveDeclared: resolve, rejectDeclared: reject }))
    this.declared.catch(() => {}) // Start tells it
    this.draining = null // a promise, once it has begun
    this.asked = false // to stop, by the core
    this.outbox = [] // envelopes that are not sent yet
    this.requests = new Map() // by id: those without an answer
    this.lastRequest = 0
    // By receiver: the newest generation that was evicted, the lease that counts
    // now, and a promise for the end of the deliver calls so far. One entry for
    // each receiver that ever got a message in this life.
    this.routes = new Map()
  }

  calls () {
    const unary = (method) => (call, answer) => method.call(this, call.request).then(
      (response) => answer(null, response),
      (err) => answer({ code: err.code ?? grpc.status.INTERNAL, details: err.message }))
    return {
      Describe: unary(this.describe),
      Configure: unary(this.configure),
      Start: unary(this.start),
      Health: unary(this.health),
      Stop: unary(this.stop),
      Exchange: (call) => this.exchange(call)
    }
  }

  async describe () {
    const { schema, ...manifest } = this.channel.describe()
    return { ...manifest, protocol: PROTOCOL, config_schema: Buffer.from(JSON.stringify(schema)) }
  }

  async configure (request) {
    if (this.configured) throw refused('configured before')
    this.configured = true
    const { schema } = this.channel.describe()
    let section
    try {
      section = JSON.parse(request.config.length ? request.config.toString() : '{}')
    } catch (err) {
      return { diagnostics: [{ severity: 'SEVERITY_ERROR', message: `not JSON: ${err.message}` }] }
    }
    const faults = check(schema, section)
    if (faults.length > 0) {
      return { diagnostics: faults.map((fault) => ({ severity: 'SEVERITY_ERROR', ...fault })) }
    }
    return { diagnostics: (await this.channel.configure?.(withDefaults(schema, section), request.channel)) ?? [] }
  }

  exchange (call) {
    if (!this.configured || this.stream || this.draining) {
      call.emit('error', refused('one stream, after Configure'))
      return
    }
    this.stream = call
    call.on('data', (frame) => frame.envelopes.forEach((envelope) => this.receive(envelope)))
    // After Stop the process stays for the core's goodbye: the answer to Stop
    // may still be on its way.
    for (const event of ['end', 'error', 'cancelled']) call.on(event, () => this.asked || this.over())
    this.declare().then(this.resolveDeclared, (err) => {
      this.rejectDeclared(err)
      log('ERROR', 'declare failed', { err: err.message })
      call.emit('error', refused(`declare: ${err.message}`))
    })
  }

  async declare () {
    const routes = (await this.channel.declare?.(this)) ?? []
    await this.request('declare', { routes })
  }

  async start () {
    try {
      await this.declared
      return { endpoints: (await this.channel.start?.(this)) ?? [] }
    } catch (err) {
      return { error: clip(err.message), cannot_listen: ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL'].includes(err.code) }
    }
  }

  async health () {
    const reason = (await this.channel.health?.()) ?? ''
    return { healthy: reason === '', reason: clip(reason) }
  }

  async stop (request) {
    this.asked = true
    await this.drain(request.deadline_ms || DEFAULT_DRAIN_MS)
    this.stream?.end() // after the last outcome
    setTimeout(() => this.over(), LAST_DRAIN_MS) // a core that forgets its goodbye
    return {}
  }

  // drain begins no delivery any more and waits for those that run. Those that
  // take longer than half of the time are cut off: the core leases them again.
  drain (ms) {
    this.draining ??= (async () => {
      const running = Promise.allSettled([...this.routes.values()].map((route) => route.calls))
      await within(ms / 2, running)
      for (const { lease } of this.routes.values()) lease?.abort.abort()
      await within(ms / 4, running)
      await within(ms / 8, this.channel.stop?.())
      this.flush()
    })()
    return this.draining
  }

  // over ends the process: the core has stopped it, or is gone.
  async over () {
    if (this.ending) return
    this.ending = true
    for (const request of this.requests.values()) request.reject(new Error('the core is gone'))
    if (!this.asked) {
      for (const { lease } of this.routes.values()) lease?.abort.abort()
      await within(LAST_DRAIN_MS, this.drain(LAST_DRAIN_MS))
    }
    process.exit(0)
  }

  // receive acts on one envelope. A body that it does not know is skipped.
  receive (envelope) {
    const body = envelope[envelope.body]
    switch (envelope.body) {
      case 'deliver':
        for (const route of body.routes) this.lease(body.message, route)
        break
      case 'recall':
        this.release(body.receiver, (lease) => lease.mid === body.mid && lease.generation === body.generation)
        break
      case 'evict':
        this.route(body.receiver).ended = BigInt(body.generation)
        this.release(body.receiver, (lease) => BigInt(lease.generation) <= BigInt(body.generation))
        break
      case 'command':
        this.send({ command_reply: { id: body.id, error: { code: 'ERROR_CODE_UNKNOWN_COMMAND', message: 'the plugin answers no commands' } } })
        break
      case 'done':
      case 'published':
      case 'session':
      case 'command_result':
      case 'state':
        this.requests.get(body.request_id)?.resolve(body)
        this.requests.delete(body.request_id)
    }
  }

  route (receiver) {
    let route = this.routes.get(receiver)
    if (!route) this.routes.set(receiver, route = { ended: 0n, lease: null, calls: Promise.resolve() })
    return route
  }

  // lease takes a message on for one receiver.
  lease (message, { receiver, generation, address, attempt, interval_ms: intervalMs }) {
    if (this.draining) return
    const route = this.route(receiver)
    if (BigInt(generation) <= route.ended) return // stale
    if (route.lease?.mid === message.mid && route.lease.generation === generation) return // its call has not ended yet
    route.lease?.abort.abort()
    const lease = route.lease = { mid: message.mid, generation, abort: new AbortController() }
    const delivery = { message, receiver, address, attempt, intervalMs }
    // A call that was given up may still run: the next one waits for its end.
    route.calls = route.calls.then(() => this.deliver(route, lease, delivery))
  }

  async deliver (route, lease, delivery) {
    if (route.lease !== lease || this.draining) return
    let result
    try {
      result = await this.channel.deliver(delivery, lease.abort.signal)
      if (!result?.kind) throw new Error('deliver returned no outcome')
    } catch (err) {
      if (!lease.abort.signal.aborted) log('ERROR', 'delivery failed', { receiver: delivery.receiver, mid: lease.mid, err: err.message })
      result = outcome.retry(err.message)
    }
    if (route.lease !== lease) return // recalled, or void
    if (lease.abort.signal.aborted && result.kind === 'OUTCOME_KIND_RETRY') return // cut off: this says nothing
    route.lease = null
    const { kind, error = '', retry_after_ms: retryAfterMs = 0 } = result
    this.send({ outcome: { receiver: delivery.receiver, generation: lease.generation, mid: lease.mid, kind, error: clip(error), retry_after_ms: Math.round(retryAfterMs) } })
  }

  // release gives a lease up without an outcome.
  release (receiver, which) {
    const route = this.routes.get(receiver)
    if (!route?.lease || !which(route.lease)) return
    route.lease.abort.abort()
    route.lease = null
  }

  // request asks the core for something by its envelope's name ('publish',
  // 'state_get', …) and returns the body of the answer, which has no error.
  request (name, body) {
    if (this.ending || !this.stream) return Promise.reject(new Error('the core is gone'))
    const id = String(++this.lastRequest)
    const answer = new Promise((resolve, reject) => this.requests.set(id, { resolve, reject }))
    this.flush()
    this.stream.write({ envelopes: [{ request_id: id, [name]: body }] }) // a frame of its own: it may be large
    return answer.then((body) => {
      if (body.error && body.error.code !== 'ERROR_CODE_UNSPECIFIED') throw Object.assign(new Error(body.error.message), body.error)
      return body
    })
  }

  // send puts a small envelope in line. What comes within one turn of the event
  // loop shares a frame.
  send (envelope) {
    if (this.outbox.push(envelope) === 1) setImmediate(() => this.flush())
  }

  flush () {
    while (this.outbox.length > 0) this.stream.write({ envelopes: this.outbox.splice(0, MAX_ENVELOPES) })
  }
}

function refused (details) {
  return Object.assign(new Error(details), { code: grpc.status.FAILED_PRECONDITION, details })
}

// within waits for a promise, but no longer than so many milliseconds.
function within (ms, promise) {
  let timer
  return Promise.race([
    Promise.resolve(promise).catch(() => {}),
    new Promise((resolve) => { timer = setTimeout(resolve, ms) })
  ]).finally(() => clearTimeout(timer))
}

// clip bounds what the operator is told, without half a surrogate pair.
function clip (text) {
  return String(text).slice(0, MAX_ERROR_CHARS).toWellFormed()
}
