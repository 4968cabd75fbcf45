import test from 'node:test'
import assert from 'node:assert/strict'
import { check, withDefaults } from './schema.js'
import { Slack, judge, render } from './slack.js'

test('text and description become one text in which nothing is markup for links', () => {
  assert.equal(render({ text: 'disk <full> & hot', desp: '<!channel>' }), 'disk &lt;full&gt; &amp; hot\n&lt;!channel&gt;')
  assert.equal(render({ text: '', desp: 'body' }), 'body')
  assert.equal(render({ text: ' ', desp: '' }), '')
})

test('answers', () => {
  const cases = [
    [200, 'ok', null, 'HANDED_OFF', 0],
    [200, '<html>sign in</html>', null, 'RETRY', 0],
    [429, 'rate_limited', '30', 'RETRY', 30_000],
    [429, '', null, 'RETRY', 0],
    [429, '', '999999999', 'RETRY', 86_400_000],
    [503, '', '2', 'RETRY', 2000],
    [500, 'rollup_error', 'nonsense', 'RETRY', 0],
    [302, '', null, 'RETRY', 0],
    [408, '', null, 'RETRY', 0],
    [400, 'invalid_payload', null, 'REJECTED', 0],
    [400, 'no_text', null, 'REJECTED', 0],
    [413, '', null, 'REJECTED', 0],
    [403, 'action_prohibited', null, 'GONE', 0],
    [403, 'invalid_token', null, 'GONE', 0],
    [404, 'no_service', null, 'GONE', 0],
    [410, 'channel_is_archived', null, 'GONE', 0]
  ]
  for (const [status, word, retryAfter, kind, after] of cases) {
    const got = judge(status, word, retryAfter)
    assert.equal(got.kind, 'OUTCOME_KIND_' + kind, `${status} ${word}`)
    assert.equal(got.retry_after_ms ?? 0, after, `${status} ${word}`)
  }
  assert.equal(judge(400, 'some long answer that quotes what was sent', null).error, 'status 400')
})

test('mistakes in the config have their path', () => {
  const { schema } = new Slack().describe()
  const section = { clients: [{ name: 'ops', url: 'https://hooks.slack.com/services/x' }, { name: '', url: 7, colour: 'red' }], timeout: 1.5 }
  assert.deepEqual(check(schema, section), [
    { path: 'clients[1].name', message: 'must not be empty' },
    { path: 'clients[1].url', message: 'expected string, got integer' },
    { path: 'clients[1].colour', message: 'unknown key' },
    { path: 'timeout', message: 'expected integer, got number' }
  ])
  assert.deepEqual(check(schema, { clients: [{}] }).map((fault) => fault.path), ['clients[0].name', 'clients[0].url'])
  assert.deepEqual(withDefaults(schema, {}), { clients: [], timeout: 10000, retryTimeout: 3000 })
})

test('one name for two webhooks is an error', () => {
  const slack = new Slack()
  const client = { name: 'ops', url: 'https://hooks.slack.com/services/x' }
  assert.deepEqual(slack.configure({ clients: [client, client] }).map((d) => [d.severity, d.path]), [['SEVERITY_ERROR', 'clients[1].name']])
})
