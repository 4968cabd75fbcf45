package control

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

// Method is the from.method of messages that the operator sends.
const Method = "control"

// maxWait bounds how long a send may wait for what becomes of it.
const maxWait = 10 * time.Minute

// maxSend bounds the body of a send, in bytes: that of the largest message, each
// byte of which may take six in JSON (\u0001), and of what is around it.
const maxSend = 6*message.MaxSize + maxRequest

// send publishes a message.
func (s *Server) send(r *http.Request) (any, error) {
	var send Send
	if err := readUpTo(r, maxSend, &send); err != nil {
		return nil, err
	}
	publish := engine.Publish{
		FromMethod: Method, Target: send.Target, Text: send.Text, Desp: send.Desp, Extra: send.Extra,
		Wait: send.WaitMs, TTL: message.TTL(send.Extra),
	}
	switch send.SendType {
	case "", "personal":
		publish.SendType = message.Personal
	case "group":
		publish.SendType = message.Group
	default:
		return nil, badRequest("sendType: expected personal or group, not %q", send.SendType)
	}
	if string(send.Extra) == "null" {
		publish.Extra = nil
	} else if len(send.Extra) > 0 && (send.Extra[0] != '{' || !utf8.Valid(send.Extra)) { // the decoder takes any bytes
		return nil, badRequest("extra: expected a JSON object in UTF-8")
	}
	if send.WaitMs < 0 || send.WaitMs > maxWait.Milliseconds() {
		return nil, badRequest("waitMs: expected 0 to %d", maxWait.Milliseconds())
	}
	if send.IdempotencyKey != "" {
		if !message.ValidName(send.IdempotencyKey) {
			return nil, badRequest("idempotencyKey: it must have 1 to %d bytes and no control characters", message.MaxNameBytes)
		}
		publish.Key = record.Key{Sender: Method, Name: send.IdempotencyKey, Digest: send.digest()}
	}
	body, err := s.Desk.Ask(r.Context(), func(link engine.LinkID, request engine.RequestID) engine.Event {
		publish.Link, publish.Request = link, request
		return &publish
	})
	if err != nil {
		return nil, err
	}
	published := body.(engine.Published)
	sent := Sent{MID: MID(published.MID), Status: make(map[string]string, len(published.Statuses))}
	for _, status := range published.Statuses {
		sent.Status[status.Receiver] = status.Status.String()
	}
	return sent, nil
}

// digest tells one message from another that is sent under the same key.
func (s *Send) digest() string {
	sum := sha256.New()
	for _, part := range []string{s.SendType, s.Target, s.Text, s.Desp, string(s.Extra)} {
		_ = binary.Write(sum, binary.BigEndian, uint64(len(part)))
		sum.Write([]byte(part))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

func parseMID(text string) (message.MID, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, badRequest("%q is no mid: expected the digits of one, as in the answer to a send", text)
	}
	return message.MID(n), nil
}

func (s *Server) trace(r *http.Request) (any, error) {
	mid, err := parseMID(r.PathValue("mid"))
	if err != nil {
		return nil, err
	}
	body, err := s.Desk.Ask(r.Context(), func(link engine.LinkID, request engine.RequestID) engine.Event {
		return &engine.Look{Link: link, Request: request, MID: mid}
	})
	if err != nil {
		return nil, err
	}
	looked := body.(engine.Looked)
	trace := Trace{Message: messageOf(looked.Message), Deliveries: []Delivery{}}
	for i := range looked.Items {
		d := deliveryOf(&looked.Items[i])
		for _, way := range looked.Ways[i] {
			d.Routes = append(d.Routes, wayOf(way))
		}
		trace.Deliveries = append(trace.Deliveries, d)
	}
	return trace, nil
}
