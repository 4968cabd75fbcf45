package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mpush/test/harness"
)

// figure is one of /metrics, by its name and labels as they stand there.
func figure(t *testing.T, metrics, series string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(metrics)
	if m == nil {
		t.Fatalf("no %s in\n%s", series, metrics)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool
	Channels []struct {
		Name, State, Reason string
		Ready               bool
	}
}

func TestOperatorsSeeWhatTheRelayDoes(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"ops": harness.Object{"listen": "127.0.0.1:0"}})
	address := relay.OpsAddress(t)
	if health := harness.GetFrom(t, address, "/healthz"); health.Status != 200 || health.Body != "ok\n" {
		t.Errorf("healthz: %d %s", health.Status, health.Body)
	}
	if ready := harness.GetFrom(t, address, "/readyz"); ready.Status != 200 || !strings.Contains(ready.Body, `"name":"websocket","state":"running","ready":true`) {
		t.Errorf("readyz: %d %s", ready.Status, ready.Body)
	}
	if status := harness.GetFrom(t, address, "/debug/pprof/").Status; status != 404 {
		t.Errorf("profiles that were not asked for: %d", status)
	}

	phone := relay.Receiver(t, "phone")
	for i := range 3 {
		answer := relay.Begin(t, harness.Request{Target: fmt.Sprintf("/phone.send?text=m%d", i)})
		phone.Take(t, fmt.Sprintf("m%d", i))
		answer().ExpectStatuses(t, statuses{"phone": "ok"})
	}
	relay.Get(t, "/stranger.send?text=x").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"stranger":"no"},"stranger":"no"}}`)

	pid := relay.Channel(t, "http").PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	relay.WaitRestart(t, "http", pid)
	metrics := harness.GetFrom(t, address, "/metrics").Body
	for series, want := range map[string]float64{
		`mpush_messages_accepted_total`:                               3,
		`mpush_acks_total{channel="websocket"}`:                       3,
		`mpush_deliveries_total{channel="websocket",outcome="acked"}`: 3,
		`mpush_delivery_seconds_count{channel="websocket"}`:           3,
		`mpush_ack_seconds_count{channel="websocket"}`:                3,
		`mpush_messages_refused_total{reason="no_receiver"}`:          1,
		`mpush_messages_refused_total{reason="unauthenticated"}`:      0,
		`mpush_plugin_restarts_total{channel="http"}`:                 1,
		`mpush_plugin_restarts_total{channel="websocket"}`:            0,
		`mpush_plugin_up{channel="http"}`:                             1,
		`mpush_receivers`:                                             1,
		`mpush_routes{channel="websocket"}`:                           1,
		`mpush_queue_messages`:                                        0,
		`mpush_in_flight{channel="websocket"}`:                        0,
		`mpush_dead_letters_total{reason="expired"}`:                  0,
		`mpush_store_accepting`:                                       1,
		`mpush_store_commit_failures_total`:                           0,
	} {
		if got := figure(t, metrics, series); got != want {
			t.Errorf("%s is %v, not %v", series, got, want)
		}
	}
	for _, series := range []string{`mpush_store_bytes`, `mpush_disk_free_bytes`, `mpush_store_commit_seconds_count`, `go_goroutines`} {
		if figure(t, metrics, series) <= 0 {
			t.Errorf("%s is nothing", series)
		}
	}
	if strings.Contains(metrics, "phone") || strings.Contains(metrics, "stranger") {
		t.Error("the metrics name receivers")
	}
}

func TestReadinessNamesTheChannelThatIsDown(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{
		"ops": harness.Object{"listen": "127.0.0.1:0"},
		"plugins": harness.Object{"wrong": harness.Object{
			"path": harness.Program(t, "file"), "sha256": strings.Repeat("0", 64),
		}},
	})
	address := relay.OpsAddress(t)
	ready := harness.GetFrom(t, address, "/readyz")
	var r readiness
	if err := json.Unmarshal([]byte(ready.Body), &r); err != nil {
		t.Fatalf("%s: %v", ready.Body, err)
	}
	if ready.Status != 503 || r.Ready {
		t.Errorf("%d %s", ready.Status, ready.Body)
	}
	for _, c := range r.Channels {
		wrong := c.Name == "wrong"
		if c.Ready == wrong || wrong && !strings.Contains(c.Reason, "checksum") {
			t.Errorf("%+v", c)
		}
	}
	if status := harness.GetFrom(t, address, "/healthz").Status; status != 200 {
		t.Errorf("healthz: %d, for a channel that is down", status)
	}
	metrics := harness.GetFrom(t, address, "/metrics").Body
	if figure(t, metrics, `mpush_plugin_up{channel="wrong"}`) != 0 {
		t.Error("the channel is told to be up")
	}
}

func TestReloadsMoveHealthAndMetrics(t *testing.T) {
	t.Parallel()
	first, second, taken := harness.ReservePort(t), harness.ReservePort(t), harness.TakenPort(t)
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	relay := startReloading(t, harness.Object{"ops": harness.Object{"listen": at(first)}})
	if status := harness.GetFrom(t, at(first), "/healthz").Status; status != 200 {
		t.Errorf("healthz: %d", status)
	}

	relay.config["ops"] = harness.Object{"listen": at(second), "pprof": true}
	relay.replace(relay.text())
	relay.WaitLog(t, "configuration reloaded", "ops.listen", "ops.pprof")
	if status := harness.GetFrom(t, at(second), "/debug/pprof/cmdline").Status; status != 200 {
		t.Errorf("profiles: %d", status)
	}
	refuses(t, at(first))

	relay.config["ops"] = harness.Object{"listen": at(taken)}
	relay.replace(relay.text())
	relay.WaitLog(t, "ops.listen: "+at(taken)+" is taken by another process")
	if status := harness.GetFrom(t, at(second), "/debug/pprof/cmdline").Status; status != 200 {
		t.Errorf("profiles after a reload that was refused: %d", status)
	}

	relay.config["ops"] = harness.Object{"listen": ""}
	relay.config["log"] = harness.Object{"level": "warn"} // tells this line from the first
	relay.replace(relay.text())
	relay.WaitLog(t, "configuration reloaded", "log.level", "ops.listen")
	refuses(t, at(second))
}

// refuses checks that nothing listens at an address.
func refuses(t *testing.T, address string) {
	t.Helper()
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Errorf("something listens at %s", address)
	}
}

func TestStartWithAnOpsAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	dir, address := harness.Dir(t), fmt.Sprintf("127.0.0.1:%d", harness.TakenPort(t))
	write(t, dir, fmt.Sprintf(`{"token":"strong-enough","ops":{"listen":%q},"http":{"host":"127.0.0.1","port":0},%s}`, address, socketAlone))
	failsToStart(t, harness.Run(t, dir, nil), "ops.listen", address, "taken")
}
