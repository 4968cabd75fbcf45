// The service half: what Slack wants to be told, and what its answers mean.
import { log, outcome } from './mpush.js'

const MAX_REQUESTS = 64 // at once, to all webhooks together
const MAX_ANSWER_BYTES = 4096 // read of an answer; Slack's are a word

const schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  additionalProperties: false,
  properties: {
    clients: {
      type: 'array',
      description: 'the receivers, each a Slack channel',
      default: [],
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'url'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 256, description: 'what senders send to; each client needs its own' },
          group: { type: 'string', maxLength: 256, description: 'a group that it is a member of' },
          url: { type: 'string', pattern: '^https?://[^/\\s@]+/', writeOnly: true, description: 'the http(s) url of an incoming webhook; who knows it can post' }
        }
      }
    },
    timeout: { type: 'integer', minimum: 100, maximum: 60000, default: 10000, description: 'how long a request may take, in milliseconds' },
    retryTimeout: { type: 'integer', minimum: 100, maximum: 300000, default: 3000, description: 'the pause after a failed request, in milliseconds; it doubles up to 5 minutes' }
  }
}

const RETRY_MAX_MS = 300_000

// Slack is a channel with one route for each configured webhook.
export class Slack {
  constructor () {
    this.gone = new Map() // receiver → Slack's word
    this.requests = new Limit(MAX_REQUESTS)
  }

  describe () {
    return {
      name: 'slack',
      version: '1.0.0',
      description: 'Posts messages to Slack\'s incoming webhooks. Slack having them is not somebody having read them.',
      roles: ['ROLE_EGRESS'],
      statuses: [
        { word: 'NAME-wait', meaning: 'being posted, or waiting to be tried again' },
        { word: 'NAME-ok', meaning: 'Slack has taken it' }
      ],
      schema
    }
  }

  configure (config) {
    this.config = config
    this.clients = new Map(config.clients.map((client) => [client.name, client]))
    const names = config.clients.map((client) => client.name)
    return [
      ...names.flatMap((name, i) => names.indexOf(name) < i
        ? [{ severity: 'SEVERITY_ERROR', path: `clients[${i}].name`, message: `"${name}" is taken by clients[${names.indexOf(name)}]` }]
        : []),
      ...config.clients.flatMap(({ url }, i) => !URL.canParse(url)
        ? [{ severity: 'SEVERITY_ERROR', path: `clients[${i}].url`, message: 'expected a url' }]
        : url.startsWith('http:')
          ? [{ severity: 'SEVERITY_WARNING', path: `clients[${i}].url`, message: 'without https others on the way can read it, and post' }]
          : [])
    ]
  }

  declare () {
    const policy = { retry_ms: this.config.retryTimeout, retry_max_ms: Math.max(RETRY_MAX_MS, this.config.retryTimeout) }
    return this.config.clients.map(({ name, group }) => ({ receiver: name, group, policy }))
  }

  health () {
    const gone = [...this.gone].map(([name, word]) => `${name} (${word})`)
    return gone.length === 0 ? '' : `Slack has closed the webhooks of ${gone.join(', ')}: mend their urls`
  }

  async deliver ({ message, receiver }, signal) {
    const client = this.clients.get(receiver)
    if (!client) return outcome.gone('it is configured no more')
    const text = render(message)
    if (text === '') return outcome.rejected('Slack takes no empty message')
    const result = await this.requests.run(() => post(client.url, text, this.config.timeout, signal))
    if (result.kind === 'OUTCOME_KIND_GONE') {
      this.gone.set(receiver, result.error)
      log('WARN', 'webhook is closed, its queue waits', { receiver, err: result.error })
    }
    return result
  }
}

// render makes Slack's text of a message: the text, and below it the description.
// The three characters that Slack reads as markup for links, mentions and
// "everyone" are escaped, so that a sender can not ring at a whole channel;
// *bold*, _italic_ and `code` stay what they are.
export function render ({ text, desp }) {
  return [text, desp].filter((part) => part.trim() !== '').join('\n').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}

// post makes one request and returns the outcome.
async function post (url, text, timeoutMs, signal) {
  let answer, word
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8', 'user-agent': 'mpush-slack' },
      body: JSON.stringify({ text }),
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    })
    word = await begin(answer.body)
  } catch (err) {
    // Never err.message of a bad url, which may hold it.
    if (err.name === 'TimeoutError') return outcome.retry(`no answer within ${timeoutMs} ms`)
    return outcome.retry(`no answer: ${err.cause?.code ?? err.cause?.message ?? err.name}`)
  }
  return judge(answer.status, word, answer.headers.get('retry-after'))
}

// begin reads the first bytes of a body as text and lets go of the rest.
async function begin (body) {
  const chunks = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= MAX_ANSWER_BYTES) break // cancels the body
  }
  return Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString().trim()
}

// CLOSED are the answers that are about the webhook and not about the message:
// every other message would get the same until the operator or somebody in Slack
// does something.
const CLOSED = new Set([
  'no_service', 'no_service_id', 'no_active_hooks', 'no_team', 'team_disabled', 'invalid_token', 'token_revoked',
  'channel_not_found', 'channel_is_archived', 'action_prohibited', 'posting_to_general_channel_denied', 'user_not_found'
])

// judge says what an answer means: its status, its text (Slack's word) and the
// header Retry-After.
export function judge (status, word, retryAfter) {
  const said = /^[a-z0-9_]{1,64}$/.test(word) ? word : `status ${status}`
  if (status === 200) return word === 'ok' ? outcome.handedOff() : outcome.retry('an answer 200 that is not Slack\'s')
  if (status === 429) return outcome.retry('too many requests', seconds(retryAfter) * 1000)
  if (CLOSED.has(word) || status === 404 || status === 410) return outcome.gone(said)
  if (status >= 400 && status < 500 && status !== 408) return outcome.rejected(said)
  return outcome.retry(said, seconds(retryAfter) * 1000)
}

// seconds reads a Retry-After, a number of seconds or a date; 0 is none.
function seconds (text) {
  if (text === null || text === undefined) return 0
  const value = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
  return Math.min(Math.max(value || 0, 0), 86_400)
}

// Limit runs so many tasks at once; the others wait for their turn.
class Limit {
  constructor (most) {
    this.free = most
    this.waiting = []
  }

  async run (task) {
    if (this.free > 0) this.free--
    else await new Promise((resolve) => this.waiting.push(resolve))
    try {
      return await task()
    } finally {
      const next = this.waiting.shift()
      if (next) next()
      else this.free++
    }
  }
}
