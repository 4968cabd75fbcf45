package hostile

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

var connectsFlag = flag.Int("hostile.connects", 2_000, "websockets that log in as fast as they can; half of them stay")

// member is one of the crowd, authenticated.
type member struct {
	name string
	conn *websocket.Conn
}

// login opens a websocket and authenticates on it.
func (w *witness) login(address, name string) (member, error) {
	dialer := websocket.Dialer{HandshakeTimeout: harness.Patience}
	conn, response, err := dialer.Dial("ws://"+address+"/", nil)
	if err != nil {
		return member{}, err
	}
	_ = response.Body.Close()
	_ = conn.SetReadDeadline(time.Now().Add(harness.Patience))
	err = conn.WriteMessage(websocket.TextMessage, []byte(harness.AuthPacket(w.Token, name, "")))
	var reply []byte
	if err == nil {
		_, reply, err = conn.ReadMessage()
	}
	if err == nil && !strings.Contains(string(reply), `"code":200`) {
		err = fmt.Errorf("the answer to AUTH is %s", reply)
	}
	if err != nil {
		_ = conn.Close()
	}
	return member{name, conn}, err
}

// TestManyThatLogInAtOnceDelayNobody has clients log in without a pause between
// them, as after an outage of the network: half of them stay connected, the
// others leave at once.
func TestManyThatLogInAtOnceDelayNobody(t *testing.T) {
	t.Parallel()
	connects := min(*connectsFlag, 2*crowd(t))
	w := startWitness(t, nil)
	address := w.Address(t, "websocket")
	const dialers = 64
	var next atomic.Int64
	var mu sync.Mutex
	var held []member
	var faults []string
	t.Cleanup(func() {
		for _, m := range held {
			_ = m.conn.Close()
		}
	})
	began := time.Now()
	var slowest time.Duration
	w.whileServed(t, func() error {
		var dialing sync.WaitGroup
		for range dialers {
			dialing.Go(func() {
				for i := next.Add(1); i <= int64(connects); i = next.Add(1) {
					before := time.Now()
					m, err := w.login(address, fmt.Sprintf("crowd-%d", i))
					took := time.Since(before)
					mu.Lock()
					slowest = max(slowest, took)
					switch {
					case err != nil:
						faults = append(faults, err.Error())
					case i%2 == 0:
						held = append(held, m)
					default:
						_ = m.conn.Close()
					}
					mu.Unlock()
				}
			})
		}
		dialing.Wait()
		return nil
	})
	took := time.Since(began)
	t.Logf("%d logins in %v, %.0f a second, the slowest after %v; %d stay", connects, took.Round(time.Millisecond),
		float64(connects)/took.Seconds(), slowest.Round(time.Millisecond), len(held))
	slices.Sort(faults)
	for _, fault := range slices.Compact(faults) {
		t.Error(fault)
	}
	if len(held) == 0 {
		t.Fatal("nobody is connected")
	}
	// Those who stay are receivers like any other.
	for _, m := range []member{held[0], held[len(held)/2], held[len(held)-1]} {
		w.reaches(t, m)
	}
	w.unharmed(t)
}

// reaches makes sure that a member of the crowd gets a message.
func (w *witness) reaches(t *testing.T, m member) {
	t.Helper()
	answer := w.Begin(t, harness.Request{Target: "/" + m.name + ".send?text=one+of+many"})
	_ = m.conn.SetReadDeadline(time.Now().Add(harness.Patience))
	var packet struct {
		Data struct {
			MID     string
			Message struct{ Text string }
		}
	}
	_, text, err := m.conn.ReadMessage()
	if err == nil {
		err = json.Unmarshal(text, &packet)
	}
	if err != nil || packet.Data.Message.Text != "one of many" {
		t.Fatalf("%s got %s, %v", m.name, text, err)
	}
	ack := `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"` + packet.Data.MID + `"}}`
	if err := m.conn.WriteMessage(websocket.TextMessage, []byte(ack)); err != nil {
		t.Fatal(err)
	}
	answer().ExpectStatuses(t, map[string]string{m.name: "ok"})
}
