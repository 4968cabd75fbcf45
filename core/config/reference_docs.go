package config

// doc is what the reference says of a key beyond what the code knows. Each key
// that is served has one; docs/config.md is made of them.
type doc struct {
	text    string // Markdown
	example string // JSON
	unit    string

	fallback, floor string // of keys of an entry, which have no table of their own
}

func settingDocs() map[string]doc {
	return map[string]doc{
		"token":               {text: "who has it may send and receive. While it is empty or well known (`test`, `change-me`, …) listeners without a `host` are on loopback only", example: `"${file:token.txt}"`},
		"tokens":              {text: "further tokens, each with rights of its own: [below](#tokens)", example: `[{"name": "ci", "token": "${file:token.txt}", "rights": ["send"], "targets": {"names": ["phone"]}}]`},
		"auth.ttl":            {text: "how long a session lasts; 0: until the token or the data directory's secret changes", example: `"90d"`},
		"trustedProxies":      {text: "reverse proxies whose `X-Forwarded-For` is believed: addresses or networks", example: `["10.0.0.0/8"]`},
		"log.level":           {text: "what is logged: this and what is worse", example: `"debug"`},
		"log.format":          {text: "the form of the log, which goes to stderr", example: `"json"`},
		"limits.ttl":          {text: "a message that was not delivered by then is a [dead letter](wire.md#dead-letters), a few seconds later at most, also if its receiver stays away; 0: never. A sender may give a message less time with `extra.ttl`. A change holds for messages that come after it", example: `"12h"`},
		"limits.queueLength":  {text: "messages that wait for one receiver; more are `full`. 0: no limit", example: `1000`},
		"limits.queueBytes":   {text: "their bytes; an empty queue takes one message of any size. 0: no limit", example: `10485760`, unit: "bytes"},
		"limits.receivers":    {text: "known receivers; a new one beyond that is refused. 0: no limit", example: `500`},
		"limits.groupMembers": {text: "receivers in one group; one more is refused", example: `50`},
		"limits.publishRate":  {text: "messages a second from one address, and of one name; more are refused with 429. 0: no limit. See [Who is counted](#who-is-counted)", example: `5`, unit: "a second"},
		"limits.publishBurst": {text: "how many of these may come at once after a pause", example: `50`},
		"limits.authFailures": {text: "wrong tokens that one address may show at once; then whatever token it shows is refused with 429. All are forgiven in ten minutes, one after the other. 0: no limit", example: `3`},
		"limits.forgetAfter":  {text: "a receiver that was away for so long is forgotten within the hour, with its queue, whose messages end as `failed`; 0: never. One that is configured or has a web push subscription stays", example: `"30d"`},
		"limits.diskReserve":  {text: "bytes that stay free on the disk of the data directory: below that sends are refused with 503, while what was accepted is delivered and acknowledgements are written. Looked at every second; sends are accepted again with a tenth more. 0: not looked at, a disk that is really full refuses sends, too", example: `1073741824`, unit: "bytes"},
		"ops.listen":          {text: "address of [health and metrics](operate/README.md), with a port; `\"\"`: none. It asks for no token: keep any other than loopback away from strangers. Taken by another process, the default one is left out with a warning; one that is set is an error", example: `":9095"`},
		"ops.pprof":           {text: "serve Go's profiles there, too, below `/debug/pprof/`", example: `true`},
		"history.keep":        {text: "how long it is known what became of a message, counted from its end; dead letters are kept as long, and may be replayed until then. What is older is deleted every ten minutes, in small steps; 0: never", example: `"30d"`},
	}
}

func entryDocs() map[string]doc {
	return map[string]doc{
		"path":                {text: "the executable, relative to the config file. Required, but with `reattach`", example: `"plugins/file"`},
		"args":                {text: "its arguments", example: `["--verbose"]`, fallback: "[]"},
		"env":                 {text: "names of variables that it gets besides `PATH`, `HOME`, `TMPDIR`, `TZ`, `LANG`, `SSL_CERT_FILE`, `SSL_CERT_DIR` and those of the Go runtime; it sees no others", example: `["HOME"]`, fallback: "[]"},
		"sha256":              {text: "of the executable, as `sha256sum` prints it and `mpush plugin pin NAME` writes it here; verified at every start. It covers neither an interpreter nor libraries. Required, or `unpinned`", example: `"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`},
		"unpinned":            {text: "run whatever lies at `path`", example: "true", fallback: "false"},
		"enabled":             {text: "whether it runs", example: "false", fallback: "true"},
		"rights":              {text: "what it may have beyond carrying messages: `master-token` (it is told the token), `accept-without-token` (it may let callers in by itself), `take-names` (receivers that its config names may take over names that clients hold). A plugin that asks for more does not run", example: `["master-token"]`, fallback: "[]"},
		"limits.memory":       {text: "what the plugin and the processes of its process group may have resident, looked at every three seconds on Linux: over it the plugin is killed and started again, and the log says why. Plugins in Go get nine tenths of it as `GOMEMLIMIT` and so make an effort before. 0: no limit", example: "134217728", unit: "bytes", fallback: "0", floor: "33554432 (32 MiB), or 0"},
		"limits.inFlight":     {text: "messages that it may hold at once, of all its receivers; more wait in their queues and receivers take turns. 0: no limit", example: "64", fallback: "4096"},
		"limits.publishRate":  {text: "messages that it may send for long, whoever has it do so, also from this machine; more are refused. The relay's own `limits.publishRate` counts besides. 0: no limit", example: "10", unit: "a second", fallback: "0"},
		"limits.publishBurst": {text: "how many of these may come at once after a pause. Default: ten seconds of `limits.publishRate`", example: "100", floor: "1"},
		"targets":             {text: "to whom it may send, whoever has it do so: names for messages to one receiver, groups for those to a group. `*` stands for any run of characters; what is not named is refused, and `{}` allows nothing. Default: everybody. See [what a plugin may do](plugins/trust.md)", example: `{"names": ["phone-*"], "groups": ["family"]}`},
		"receivers":           {text: "the names that it may have routes and sessions for, and the groups that it may put them into; as `targets`. Default: names that no other channel serves. A plugin that serves a receiver beside another channel needs the name here", example: `{"names": ["bot-*"], "groups": []}`},
		"mtls":                {text: "encrypt and authenticate its local connection; `false` for runtimes that can not", example: "false", fallback: "true"},
		"reattach":            {text: "the Unix socket of a plugin that somebody has started by hand with `MPUSH_PLUGIN_DEBUG=SOCKET`, in a debugger perhaps. It is connected to, not started, gets all the time that it wants, and `path` may be missing. See [operate plugins](plugins/operate.md#debug)", example: `"debug.sock"`},
		"config":              {text: "the plugin's own section; it sees no other", example: `{"path": "messages.jsonl"}`, fallback: "none"},
	}
}
