package websocket

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"mpush/sdk"
)

// granting is a core that attaches everybody, and notes acks.
type granting struct {
	sdk.Host
	acked chan int64
}

func (g *granting) Channel() string { return "websocket" }

func (g *granting) Attach(_ context.Context, a sdk.Attach) (sdk.Session, error) {
	s := sdk.Session{Auth: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccc", Generation: 1}
	a.Ready(s)
	return s, nil
}

func (g *granting) Detach(string, uint64) {}

func (g *granting) Acked(_ string, _ uint64, mid int64) { g.acked <- mid }

// serve runs the channel beside a core of its own making.
func serve(tb testing.TB) (p *plugin, host *granting, address string) {
	tb.Helper()
	p = New().(*plugin)
	p.settings.Host, p.settings.Port = "127.0.0.1", 0
	host = &granting{acked: make(chan int64, 1)}
	endpoints, err := p.Start(context.Background(), host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return p, host, endpoints[0]
}

const upgrade = "GET / HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"

// masked makes a client's text frame, with a mask of zeros.
func masked(text string) []byte {
	if len(text) > 125 {
		panic("a short frame")
	}
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}

// connect attaches a receiver over a bare connection, which costs the client
// next to nothing.
func connect(tb testing.TB, address, name string) (net.Conn, *bufio.Reader) {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, upgrade); err != nil {
		tb.Fatal(err)
	}
	reader := bufio.NewReader(c)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("%v %+v", err, response)
	}
	if _, err := c.Write(masked(`{"cmd":"AUTH","data":{"token":"test","name":"` + name + `"}}`)); err != nil {
		tb.Fatal(err)
	}
	skipFrame(tb, reader)
	return c, reader
}

func skipFrame(tb testing.TB, reader *bufio.Reader) {
	head, err := reader.Peek(4)
	if err != nil {
		tb.Fatal(err)
	}
	size := 2 + int(head[1])
	if head[1] == 126 {
		size = 4 + int(head[2])<<8 + int(head[3])
	}
	if _, err := reader.Discard(size); err != nil {
		tb.Fatal(err)
	}
}

// round returns a function that delivers a message and has it acked.
func round(tb testing.TB) func() {
	p, host, address := serve(tb)
	c, reader := connect(tb, address, "phone")
	m := delivered()
	callback := masked(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"0"}}`)
	d := &sdk.Delivery{Message: m, Receiver: "phone", Generation: 1}
	return func() {
		p.Dispatch(d)
		skipFrame(tb, reader)
		if _, err := c.Write(callback); err != nil {
			tb.Fatal(err)
		}
		<-host.acked
	}
}

func delivered() *sdk.Message {
	return &sdk.Message{SendType: sdk.Personal, Target: "phone", FromMethod: "http", Text: "hello", Desp: "world", Extra: []byte(`{"a":1}`)}
}

func BenchmarkDeliveryAndCallback(b *testing.B) {
	once := round(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

// BenchmarkIdleSocket reports the memory of an idle, attached socket, the
// client's end (a bare connection) included.
func BenchmarkIdleSocket(b *testing.B) {
	_, _, address := serve(b)
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	const sockets = 2000
	before := memory()
	for i := range sockets {
		connect(b, address, fmt.Sprintf("phone%d", i))
	}
	b.ReportMetric(float64(memory()-before)/sockets, "B/socket")
	b.ReportMetric(0, "ns/op")
}
