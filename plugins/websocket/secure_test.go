package websocket

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/sdk/listen"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/ca"
)

// startSecure runs the channel with a certificate, and dials it.
func startSecure(t *testing.T, config string) (*plugintest.Core, *client) {
	t.Helper()
	dir, authority := t.TempDir(), ca.New(t)
	authority.Issue(t, "relay", time.Hour).Write(t, dir)
	_, core := start(t, fmt.Sprintf(`"tls":{"cert":"%[1]s/cert.pem","key":"%[1]s/key.pem"}%[2]s`, dir, config), plugintest.Options{})
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
	ws, response, err := dialer.Dial(core.Endpoints()[0]+"/", nil)
	if err != nil {
		t.Fatalf("dial %s: %v %+v", core.Endpoints()[0], err, response)
	}
	t.Cleanup(func() { ws.Close() })
	ws.SetReadDeadline(time.Now().Add(3 * plugintest.Patience))
	return core, &client{t, ws}
}

func TestEncryptedSocketReceives(t *testing.T) {
	core, c := startSecure(t, "")
	if !strings.HasPrefix(core.Endpoints()[0], "wss://127.0.0.1:") {
		t.Errorf("endpoint %s", core.Endpoints()[0])
	}
	c.login("phone")
	// More than the system's buffers take: the rest is written by the transport.
	text := strings.Repeat("long ", 200_000)
	for range 3 {
		mid := core.Deliver("phone", &pluginpb.Message{Text: text})
		if got := c.receive(); got != message(mid, "phone", text) {
			t.Fatalf("received %d bytes of another text", len(got))
		}
		c.send(fmt.Sprintf(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"%d"}}`, mid))
		if o := core.Outcome(); o.GetMid() != mid {
			t.Errorf("outcome %v", o)
		}
	}
}

// A packet is one however many records it is encrypted as: however large, it is
// taken whole, and what follows it, too.
func TestLargeEncryptedPacketToASlowClientIsKeptWhole(t *testing.T) {
	pair := ca.New(t).Issue(t, "relay", time.Hour)
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	out, bare := piped(t)
	server := &secure{SecureConn: &listen.SecureConn{Conn: tls.Server(out, &tls.Config{Certificates: []tls.Certificate{certificate}})}, out: out}
	client := tls.Client(bare, &tls.Config{InsecureSkipVerify: true})
	greeted := make(chan error, 1)
	go func() { greeted <- server.HandshakeContext(t.Context()) }()
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-greeted; err != nil {
		t.Fatal(err)
	}
	sent := numbered(1 << 20)
	for _, packet := range [][]byte{sent[:1000], sent[1000:]} { // as the library writes a frame
		if n, err := server.Write(packet); n != len(packet) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(packet), err)
		}
	}
	if _, err := server.Write([]byte("tail.")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent)+5)
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, append(sent, "tail."...)) {
		t.Errorf("read something else, %v", err)
	}
}

func TestFrameOverTheLimitIsToldWhyOnAnEncryptedSocket(t *testing.T) {
	_, c := startSecure(t, `,"maxFrame":1024`)
	c.send(strings.Repeat("x", 1025))
	if reason := c.expectClose(websocket.CloseMessageTooBig); !strings.Contains(reason, "maxFrame") {
		t.Errorf("reason %q", reason)
	}
}
