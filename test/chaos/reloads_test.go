//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mpush/test/harness"
)

// reload changes the section of a channel so that it is started again, and waits
// until it is. Now and then the core is killed meanwhile.
func (l *lane) reload(channel string) {
	l.t.Helper()
	before := l.channelStates()[channel].PID
	l.edits++
	key, value := "idleTimeout", 200_000+l.edits // of http and websocket
	switch channel {
	case "webhook":
		key, value = "retryTimeout", 100+l.edits%50
	case "webpush":
		key, value = "ttl", 600_000-l.edits
	}
	l.config[channel].(harness.Object)[key] = value
	stopped := l.ledger.stops(time.Now(), channel)
	defer stopped()
	l.configure(l.config)
	if l.rand.IntN(4) == 0 {
		time.Sleep(time.Duration(l.rand.Int64N(int64(200 * time.Millisecond))))
		l.did("kill core in a reload")
		l.killCore()
	}
	l.awaitChannel(channel, "started again", func(c channelState) bool { return c.State == "running" && c.PID != before })
}

// remove takes a channel away for a while.
func (l *lane) remove(channel string) {
	l.t.Helper()
	section := l.config[channel].(harness.Object)
	section["enabled"] = false
	stopped := l.ledger.stops(time.Now(), channel)
	l.configure(l.config)
	l.awaitChannel(channel, "removed", func(c channelState) bool { return c.PID == 0 })
	stopped()
	l.progress(1 + l.rand.IntN(60))
	section["enabled"] = true
	l.configure(l.config)
	l.awaitChannel(channel, "added", func(c channelState) bool { return c.State == "running" })
}

// spoil makes the configuration one that must be refused, and mends it.
func (l *lane) spoil() {
	l.t.Helper()
	l.edits++
	bad := maps.Clone(l.config)
	mark := fmt.Sprintf("chaos%d", l.edits)
	bad[mark] = true
	l.configure(bad)
	l.relay.WaitLog(l.t, "is refused", mark)
	l.configure(l.config)
}

// configure puts a configuration in the place of the present one and asks the
// core to take it over.
func (l *lane) configure(config harness.Object) {
	l.t.Helper()
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		l.t.Fatal(err)
	}
	path := filepath.Join(l.relay.Dir, "config.json")
	if err := os.WriteFile(path+"~", text, 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		l.t.Fatal(err)
	}
	l.ledger.remark("fault", "reload")
	l.signal(l.find(l.relay.PID()), syscall.SIGHUP)
}
