package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Of a connection: how long each step may take, and how long nothing at all may
// come of the pings.
const (
	connectTime = 15 * time.Second
	pingEvery   = 20 * time.Second
	patience    = 60 * time.Second
	maxPacket   = 8 << 20 // bytes
)

// connection is one connection from its beginning to its end. came tells whether
// the receiver was let in. err is nil if there is nothing more to do.
func (l *listening) connection(ctx context.Context) (came bool, err error) {
	server, token, err := l.endpoint(ctx)
	if err != nil {
		return false, err
	}
	dialing, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	dialer := *websocket.DefaultDialer
	if l.server == "" {
		// Certificates are for the names that others know the relay by. Where it
		// listens was told by its own socket, which is its owner's alone.
		dialer.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	ws, answer, err := dialer.DialContext(dialing, server, nil)
	if err != nil {
		if answer == nil {
			return false, fmt.Errorf("%s: %w", server, err)
		}
		err = fmt.Errorf("%s answers with HTTP status %d: is it the websocket channel of a relay?", server, answer.StatusCode)
		if l.came {
			return false, err // so a proxy may answer for a relay that is started again
		}
		return false, final(answer.StatusCode, err)
	}
	s := &socket{ws: ws, messages: make(chan *incoming, 16)}
	defer ws.Close()
	ws.SetReadLimit(maxPacket)
	login := map[string]string{"token": token, "name": l.name}
	if l.group != "" {
		login["group"] = l.group
	}
	if err := s.write("AUTH", login); err != nil {
		return false, err
	}
	reading, stop := context.WithCancel(ctx)
	var both sync.WaitGroup
	defer both.Wait()
	defer stop()
	both.Go(func() { s.keep(reading) })
	both.Go(func() {
		defer close(s.messages)
		s.err = s.read(reading, l)
	})
	for m := range s.messages {
		done, err := l.deal(ctx, m)
		s.free()
		if err != nil {
			return true, err
		}
		if !done {
			continue
		}
		if err := s.write("MESSAGE_CALLBACK", map[string]string{"mid": m.MID}); err != nil {
			return true, err
		}
		if l.once {
			return true, s.close()
		}
	}
	l.came = l.came || s.came
	return s.came, s.err
}

// socket is one connection. One goroutine reads, one writes; pings go beside.
type socket struct {
	ws       *websocket.Conn
	messages chan *incoming
	came     bool  // valid when messages is closed
	err      error // likewise

	mu   sync.Mutex
	busy string // the mid that is being dealt with
}

type packet struct {
	Cmd  string          `json:"cmd"`
	Data json.RawMessage `json:"data"`
}

func (s *socket) write(cmd string, data any) error {
	if err := s.ws.SetWriteDeadline(time.Now().Add(connectTime)); err != nil {
		return err
	}
	return s.ws.WriteJSON(map[string]any{"cmd": cmd, "data": data})
}

// close says goodbye and waits for the answer, so that all that was written has
// been read.
func (s *socket) close() error {
	deadline := time.Now().Add(connectTime)
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := s.ws.WriteControl(websocket.CloseMessage, goodbye, deadline); err != nil {
		return nil // it has gone, and so has what was written before
	}
	for range s.messages {
	}
	return nil
}

// keep sends pings, and closes the socket when ctx ends.
func (s *socket) keep(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(connectTime)) // the reader notices
		case <-ctx.Done():
			_ = s.ws.Close()
			return
		}
	}
}

// begin notes that a message is about to be dealt with; false if it is already.
func (s *socket) begin(mid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == mid {
		return false
	}
	s.busy = mid
	return true
}

// free: the message was dealt with, or was not and comes again.
func (s *socket) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = ""
}

// read takes packets until the connection ends.
func (s *socket) read(ctx context.Context, l *listening) error {
	alive := func() { _ = s.ws.SetReadDeadline(time.Now().Add(patience)) }
	s.ws.SetPongHandler(func(string) error {
		alive()
		return nil
	})
	for {
		alive()
		var p packet
		err := s.ws.ReadJSON(&p)
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code == websocket.CloseNormalClosure {
			return refusal{fmt.Errorf("the relay has closed %q's connection: %s", l.name, clean(closed.Text))}
		}
		if err != nil {
			return fmt.Errorf("the connection was lost: %w", err)
		}
		switch p.Cmd {
		case "AUTH":
			var reply struct {
				Code int
				Msg  string
			}
			if err := json.Unmarshal(p.Data, &reply); err != nil || reply.Code != 200 {
				return refusal{errors.New("refused: " + clean(reply.Msg) + s.hint(l))}
			}
			if !s.came {
				fmt.Fprintf(l.say, "mpush: %s is listening\n", clean(l.name))
			}
			s.came = true
		case "MESSAGE":
			m := new(incoming)
			if err := json.Unmarshal(p.Data, m); err != nil {
				return fmt.Errorf("a message can not be read: %w", err)
			}
			if !s.begin(m.MID) {
				continue
			}
			select {
			case s.messages <- m:
			case <-ctx.Done():
				return ctx.Err()
			}
		case "INFO":
			var text string
			_ = json.Unmarshal(p.Data, &text) // else it says nothing
			if !s.came {
				// A limit, or a disk that is almost full: it may pass.
				return errors.New("not now: " + clean(text))
			}
			fmt.Fprintf(l.say, "mpush: the relay says: %s\n", clean(text))
		}
	}
}

// hint is what to do about a token that is not good.
func (s *socket) hint(l *listening) string {
	if l.server == "" {
		return ""
	}
	return " (name a token that may receive as this name with --token, or in MPUSH_TOKEN)"
}
