package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// Addresses here are those that a proxy on this machine gives: loopback itself
// is not held to limits that are for others.
func from(address string) string { return "X-Forwarded-For: " + address }

// socket opens a websocket of a client behind the proxy.
func socket(t *testing.T, relay *harness.Relay, address string) *websocket.Conn {
	t.Helper()
	conn, response, err := dialFrom(relay.Address(t, "websocket"), address)
	if err != nil {
		t.Fatalf("dial: %v %+v", err, response)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func dialFrom(endpoint, address string) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{HandshakeTimeout: harness.Patience}
	conn, response, err := dialer.Dial("ws://"+endpoint, http.Header{"X-Forwarded-For": {address}})
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(harness.Patience))
	}
	return conn, response, err
}

// ask sends a frame and returns the next one.
func ask(conn *websocket.Conn, frame string) (string, error) {
	if err := conn.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		return "", err
	}
	_, answer, err := conn.ReadMessage()
	return string(answer), err
}

func TestEachLimitIsRefusedByItsName(t *testing.T) {
	t.Parallel()
	w := wire{strict: harness.Start(t, harness.Object{
		"limits": harness.Object{"publishRate": 1, "publishBurst": 5, "authFailures": 3},
		"http":   harness.Object{"verifyToken": true, "maxBody": maxBytes, "maxConnectionsPerAddress": 2},
		"websocket": harness.Object{
			"maxFrame": maxBytes, "maxConnectionsPerAddress": 2,
		},
	}), names: new(atomic.Int64)}
	relay := w.strict
	token := "Authorization: " + relay.Token
	runAll(t, w, []show{
		{"limits.publishRate, of an address", func(t *testing.T, w wire) {
			phone := w.phone(t, relay)
			send := func(text string, header ...string) harness.Reply {
				return relay.Do(t, get("/"+phone.Name+".send?text="+text, append(header, token, "Prefer: wait=0")...))
			}
			var accepted []string
			for i := range 20 {
				reply := send(strconv.Itoa(i), from("192.0.2.10"))
				if reply.Status == http.StatusOK {
					accepted = append(accepted, strconv.Itoa(i))
					continue
				}
				reply.ExpectInfo(t, http.StatusTooManyRequests, "limits.publishRate", "this address")
				if after := reply.Header.Get("Retry-After"); after != "1" {
					t.Errorf("Retry-After %q", after)
				}
			}
			if len(accepted) < 5 || len(accepted) == 20 {
				t.Errorf("%d of 20 are accepted", len(accepted))
			}
			// Others are not refused: another address, another network, the machine.
			for i, header := range [][]string{{from("192.0.2.11")}, {from("2001:db8:0:10::1")}, nil} {
				text := fmt.Sprint("other", i)
				if reply := send(text, header...); reply.Status != http.StatusOK {
					t.Errorf("%s: %d %s", header, reply.Status, reply.Body)
				}
				accepted = append(accepted, text)
			}
			// What was refused is not queued.
			for _, text := range accepted {
				phone.Take(t, text)
			}
			phone.ExpectNothing(t)
		}},
		{"limits.publishRate, of an IPv6 network", func(t *testing.T, w wire) {
			refused := 0
			for i := range 20 {
				reply := relay.Do(t, get("/nobody.send", token, from(fmt.Sprintf("2001:db8:0:11::%x", i+1))))
				if reply.Status == http.StatusTooManyRequests {
					refused++
				}
			}
			if refused == 0 {
				t.Error("20 messages of one network are let through")
			}
		}},
		{"limits.publishRate, of a name", func(t *testing.T, w wire) {
			session := relay.Dial(t).Auth(t, relay.Token, "sender", "")
			packet := `{"cmd":"MESSAGE","auth":"` + session + `","data":{"sendType":"personal","target":"nobody","message":{}}}`
			refused := 0
			for i := range 20 {
				reply := relay.Do(t, postJSON("/", packet, token, from(fmt.Sprintf("192.0.2.%d", 30+i))))
				if reply.Status != http.StatusOK {
					reply.ExpectInfo(t, http.StatusTooManyRequests, "limits.publishRate", "this name")
					refused++
				}
			}
			if refused == 0 {
				t.Error("20 messages of one name are let through")
			}
		}},
		{"limits.publishRate, on a websocket", func(t *testing.T, w wire) {
			conn := socket(t, relay, "192.0.2.12")
			if _, err := ask(conn, harness.AuthPacket(relay.Token, w.name(), "")); err != nil {
				t.Fatal(err)
			}
			refused := false
			for range 20 {
				answer, err := ask(conn, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"nobody","message":{}}}`)
				if err != nil {
					t.Fatal(err)
				}
				refused = refused || strings.HasPrefix(answer, `{"cmd":"INFO","data":"limits.publishRate: `)
			}
			if !refused {
				t.Error("20 messages are let through")
			}
			if answer, err := ask(conn, `{"cmd":"PING"}`); err != nil || answer != `{"cmd":"PONG","data":""}` {
				t.Errorf("then %s, %v", answer, err)
			}
		}},
		{"limits.authFailures", func(t *testing.T, w wire) {
			try := func(token string, address string) harness.Reply {
				return relay.Do(t, get("/nobody.send", "Authorization: "+token, from(address)))
			}
			for range 3 {
				try("wrong", "192.0.2.13").ExpectInfo(t, http.StatusUnauthorized, "Token invalid")
			}
			reply := try(relay.Token, "192.0.2.13")
			reply.ExpectInfo(t, http.StatusTooManyRequests, "limits.authFailures", "this address")
			if after, err := strconv.Atoi(reply.Header.Get("Retry-After")); err != nil || after < 1 || after > 200 {
				t.Errorf("Retry-After %q", reply.Header.Get("Retry-After"))
			}
			conn := socket(t, relay, "192.0.2.13")
			if answer, err := ask(conn, harness.AuthPacket(relay.Token, w.name(), "")); err != nil || !strings.HasPrefix(answer, `{"cmd":"INFO","data":"limits.authFailures: `) {
				t.Errorf("on a websocket: %s, %v", answer, err)
			}
			for _, address := range []string{"192.0.2.14", "127.0.0.1"} {
				if reply := try(relay.Token, address); reply.Status != http.StatusOK {
					t.Errorf("%s: %d %s", address, reply.Status, reply.Body)
				}
			}
			relay.WaitLog(t, "too many wrong tokens", "remote=192.0.2.13")
		}},
		{"http.maxConnectionsPerAddress", func(t *testing.T, w wire) {
			var waiting []func() harness.Reply
			var mids []string
			phones := []*harness.Client{w.phone(t, relay), w.phone(t, relay)}
			for _, phone := range phones {
				waiting = append(waiting, relay.Begin(t, get("/"+phone.Name+".send?text=t", token, from("192.0.2.15"))))
				mids = append(mids, phone.ExpectText(t, "t"))
			}
			third := func(address string) harness.Reply {
				return relay.Do(t, get("/nobody.send", token, from(address)))
			}
			third("192.0.2.15").ExpectInfo(t, http.StatusTooManyRequests, "http.maxConnectionsPerAddress")
			if reply := third("192.0.2.16"); reply.Status != http.StatusOK {
				t.Errorf("another address: %d %s", reply.Status, reply.Body)
			}
			for i, phone := range phones {
				phone.Ack(t, mids[i])
				waiting[i]().ExpectStatuses(t, statuses{phone.Name: "ok"})
			}
		}},
		{"websocket.maxConnectionsPerAddress", func(t *testing.T, w wire) {
			socket(t, relay, "192.0.2.17")
			socket(t, relay, "192.0.2.17")
			_, response, err := dialFrom(relay.Address(t, "websocket"), "192.0.2.17")
			if !errors.Is(err, websocket.ErrBadHandshake) || response.StatusCode != http.StatusTooManyRequests {
				t.Fatalf("a third: %v, %+v", err, response)
			}
			if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), "websocket.maxConnectionsPerAddress") {
				t.Errorf("told %s, %v", body, err)
			}
			socket(t, relay, "192.0.2.18")
		}},
		{"http.maxBody", func(t *testing.T, w wire) {
			relay.Do(t, postJSON("/nobody.send", `{"text":"`+strings.Repeat("x", maxBytes)+`"}`, token)).
				ExpectInfo(t, http.StatusRequestEntityTooLarge, "http.maxBody", strconv.Itoa(maxBytes))
		}},
		{"websocket.maxFrame", func(t *testing.T, w wire) {
			_, err := ask(socket(t, relay, "192.0.2.19"), strings.Repeat("x", maxBytes+1))
			closed, ok := errors.AsType[*websocket.CloseError](err)
			if !ok || closed.Code != websocket.CloseMessageTooBig || !strings.HasPrefix(closed.Text, "websocket.maxFrame: ") {
				t.Errorf("ended with %v", err)
			}
		}},
		{"the depth of JSON", func(t *testing.T, w wire) {
			deep := strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65)
			relay.Do(t, postJSON("/nobody.send", deep, token)).ExpectInfo(t, http.StatusBadRequest, "nested deeper than 64 levels")
			answer, err := ask(socket(t, relay, "192.0.2.20"), deep)
			if err != nil || !strings.Contains(answer, "nested deeper than 64 levels") {
				t.Errorf("on a websocket: %s, %v", answer, err)
			}
		}},
	})
}

// With the limits as they are by default.
func TestScriptOnTheSameMachineMaySendTenThousandInARow(t *testing.T) {
	t.Parallel()
	const scripts, each = 4, 2500
	relay := harness.Start(t, nil)
	session := relay.Dial(t).Auth(t, relay.Token, "script", "")
	packet := `{"cmd":"MESSAGE","auth":"` + session + `","data":{"sendType":"personal","target":"nobody","message":{"text":"t"}}}`
	url, sent := "http://"+relay.Address(t, "http")+"/", make(chan error, scripts)
	for range scripts {
		go func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: harness.Patience}
			defer client.CloseIdleConnections()
			sent <- func() error {
				for range each {
					response, err := client.Post(url, "application/json", strings.NewReader(packet))
					if err != nil {
						return err
					}
					body, err := io.ReadAll(response.Body)
					response.Body.Close()
					if err != nil || response.StatusCode != http.StatusOK {
						return fmt.Errorf("%d %s %w", response.StatusCode, body, err)
					}
				}
				return nil
			}()
		}()
	}
	for range scripts {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

// All of them come through one proxy, on both channels.
func TestFailedLoginsOfOneAddressDisturbNobodyElse(t *testing.T) {
	t.Parallel()
	const interval = time.Second / 50
	relay := harness.Start(t, harness.Object{"http": harness.Object{"maxConnectionsPerAddress": 0}})
	phone := relay.Receiver(t, "phone")
	login := func(address, token, name string) harness.Request {
		return postJSON("/", fmt.Sprintf(`{"cmd":"AUTH","data":{"token":%q,"name":%q}}`, token, name), from(address))
	}

	var attempts, wrong, refused atomic.Int64
	attack := func() error {
		reply := relay.Begin(t, login("203.0.113.66", "wrong", "phone"))()
		attempts.Add(1)
		switch {
		case reply.Status == http.StatusForbidden:
			wrong.Add(1)
		case reply.Status == http.StatusTooManyRequests && reply.Header.Get("Retry-After") != "" && strings.Contains(reply.Body, "limits.authFailures"):
			refused.Add(1)
		default:
			return fmt.Errorf("a wrong token is answered with %d %s", reply.Status, reply.Body)
		}
		return nil
	}
	over, faults := make(chan struct{}), make(chan error, 1)
	var attacker sync.WaitGroup
	attacker.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				attacker.Go(func() {
					if err := attack(); err != nil {
						select {
						case faults <- err:
						default:
						}
					}
				})
			case <-over:
				return
			}
		}
	})

	start, slowest := time.Now(), time.Duration(0)
	const rounds = 150
	for i := range rounds {
		began := time.Now()
		address := fmt.Sprintf("198.51.100.%d", i%100)
		if reply := relay.Do(t, login(address, relay.Token, fmt.Sprint("visitor", i))); reply.Status != http.StatusOK {
			t.Errorf("login %d: %d %s", i, reply.Status, reply.Body)
		}
		conn := socket(t, relay, address)
		if answer, err := ask(conn, harness.AuthPacket(relay.Token, fmt.Sprint("guest", i), "")); err != nil || !strings.HasPrefix(answer, `{"cmd":"AUTH","data":{"code":200,`) {
			t.Errorf("login %d on a websocket: %s, %v", i, answer, err)
		}
		text := fmt.Sprint("t", i)
		answer := relay.Begin(t, get("/phone.send?text="+text, from(address)))
		phone.Take(t, text)
		answer().ExpectStatuses(t, statuses{"phone": "ok"})
		slowest = max(slowest, time.Since(began))
	}
	// So many that the rate is what it says, whatever the machine's pace.
	for deadline := time.Now().Add(harness.Patience); attempts.Load() < 100; {
		if time.Now().After(deadline) {
			t.Fatalf("%d attempts", attempts.Load())
		}
		relay.Do(t, login("198.51.100.200", relay.Token, "visitor"))
	}
	took := time.Since(start)
	close(over)
	attacker.Wait()
	select {
	case err := <-faults:
		t.Error(err)
	default:
	}
	t.Logf("%d failed logins in %v, %d of them looked at; %d others' logins and messages meanwhile, the slowest round %v", attempts.Load(), took, wrong.Load(), rounds, slowest)
	if most := 11 + int64(took/time.Minute); wrong.Load() < 10 || wrong.Load() > most {
		t.Errorf("%d tokens were looked at, want 10", wrong.Load())
	}
	before := refused.Load()
	for range 3 { // one a minute is looked at
		if err := attack(); err != nil {
			t.Fatal(err)
		}
	}
	if refused.Load() == before {
		t.Fatal("no wrong token is refused any more")
	}
	relay.Do(t, login("203.0.113.66", relay.Token, "phone")).ExpectInfo(t, http.StatusTooManyRequests, "limits.authFailures")
	if reply := relay.Do(t, login("203.0.113.67", relay.Token, "visitor")); reply.Status != http.StatusOK {
		t.Errorf("the address beside it: %d %s", reply.Status, reply.Body)
	}
}

func TestChangedLimitsHoldFromTheReloadOn(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	refused := func() (refused int) {
		for range 5 {
			if reply := r.Do(t, get("/nobody.send", from("192.0.2.1"))); reply.Status == http.StatusTooManyRequests {
				refused++
			}
		}
		return refused
	}
	if n := refused(); n != 0 {
		t.Errorf("%d of 5 are refused by the defaults", n)
	}
	r.reload(harness.Object{"limits": harness.Object{"publishRate": 1, "publishBurst": 1}}, "limits.publishBurst", "limits.publishRate")
	// Not if each takes longer than a second.
	eventually(t, "the new limit holds", func() bool { return refused() > 0 })
	r.reload(harness.Object{"limits": harness.Object{"publishRate": 0}}, "limits.publishRate")
	if n := refused(); n != 0 {
		t.Errorf("%d of 5 are refused without a limit", n)
	}
}
