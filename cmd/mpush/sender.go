package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpush/core/control"
)

// sender sends a message and tells what becomes of it.
type sender interface {
	send(ctx context.Context, m control.Send) (control.Sent, error)
	// look tells how a message is for each receiver, by name.
	look(ctx context.Context, mid control.MID) ([]progress, error)
}

// progress is how a message is for one receiver.
type progress struct {
	Receiver string `json:"receiver"`
	Status   string `json:"status"`
	// Final: the status will not change any more.
	Final  bool   `json:"final"`
	Reason string `json:"reason,omitempty"` // why it can not be ok
}

// handedOn tells whether a service beyond a channel has it: the status is that of
// web push, or of another channel like it, and may still become ok.
func (p progress) handedOn() bool {
	return strings.HasSuffix(p.Status, "-ok") || strings.HasSuffix(p.Status, "-ok-comfirm")
}

// progressOf reads the statuses of an answer.
func progressOf(statuses map[string]string) []progress {
	var all []progress
	for receiver, status := range statuses {
		all = append(all, progress{Receiver: receiver, Status: status, Final: slices.Contains([]string{"ok", "no", "full", "failed"}, status)})
	}
	slices.SortFunc(all, func(a, b progress) int { return strings.Compare(a.Receiver, b.Receiver) })
	return all
}

// localSender sends by the relay's own socket.
type localSender struct{ client *control.Client }

func (l localSender) send(ctx context.Context, m control.Send) (control.Sent, error) {
	return l.client.Send(ctx, m)
}

func (l localSender) look(ctx context.Context, mid control.MID) ([]progress, error) {
	trace, err := l.client.Trace(ctx, mid)
	if err != nil {
		return nil, err
	}
	var all []progress
	for i := range trace.Deliveries {
		d := &trace.Deliveries[i]
		p := progress{Receiver: d.Receiver, Status: d.Status, Final: d.State != "open"}
		switch d.State {
		case "dead":
			p.Reason = cmp.Or(d.Error, d.Reason)
		case "handed-off":
			p.Reason = "handed to another service, which does not tell whether it arrived"
		}
		all = append(all, p)
	}
	return all, nil
}

// remoteSender sends by HTTP.
type remoteSender struct {
	server *url.URL
	token  string
}

func newRemoteSender(server, token string) (*remoteSender, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, exitError{fmt.Errorf("--server: expected a url such as http://127.0.0.1:9093, not %q", server), exitUsage}
	}
	return &remoteSender{u, token}, nil
}

func (s *remoteSender) send(ctx context.Context, m control.Send) (control.Sent, error) {
	sendType, path := "personal", ".send"
	if m.SendType == "group" {
		sendType, path = "group", ".group"
	}
	type content struct {
		Text  string          `json:"text"`
		Desp  string          `json:"desp"`
		Extra json.RawMessage `json:"extra,omitempty"`
	}
	body, err := json.Marshal(map[string]any{"cmd": "MESSAGE", "data": map[string]any{
		"sendType": sendType, "target": m.Target, "message": content{m.Text, m.Desp, m.Extra},
	}})
	if err != nil {
		return control.Sent{}, err
	}
	return s.ask(ctx, http.MethodPost, m.Target+path, body, m.IdempotencyKey)
}

func (s *remoteSender) look(ctx context.Context, mid control.MID) ([]progress, error) {
	sent, err := s.ask(ctx, http.MethodGet, strconv.FormatInt(int64(mid), 10)+".status", nil, "")
	return progressOf(sent.Status), err
}

const (
	// maxAnswer bounds what is read, in bytes: ten thousand statuses fit.
	maxAnswer = 16 << 20
	// answerTime is for one request. A relay answers at once when it is not to wait.
	answerTime = 30 * time.Second
)

// client follows no redirects: a POST would become a GET without the message.
func (s *remoteSender) client() *http.Client {
	return &http.Client{
		Timeout:       answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *remoteSender) ask(ctx context.Context, method, segment string, body []byte, key string) (sent control.Sent, err error) {
	r, err := http.NewRequestWithContext(ctx, method, s.server.JoinPath(url.PathEscape(segment)).String(), bytes.NewReader(body))
	if err != nil {
		return sent, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=0")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := s.client().Do(r)
	if err != nil {
		return sent, fmt.Errorf("%w: does the http channel of a relay listen there?", err)
	}
	defer answer.Body.Close()
	if to, err := answer.Location(); err == nil && answer.StatusCode/100 == 3 {
		return sent, refusal{fmt.Errorf("%s redirects to %s://%s: name that with --server", s.server.Redacted(), to.Scheme, to.Host)}
	}
	var packet struct {
		Cmd  string
		Data json.RawMessage
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&packet); err != nil {
		err = fmt.Errorf("%s answers with HTTP status %d and no packet: is it the http channel of a relay?", s.server.Redacted(), answer.StatusCode)
		return sent, final(answer.StatusCode, err)
	}
	if answer.StatusCode != http.StatusOK || packet.Cmd != "MESSAGE_REPLY" {
		var info string
		_ = json.Unmarshal(packet.Data, &info) // else there is the status
		info = cmp.Or(info, answer.Status)
		if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
			info += ": name a token that may do this with --token, or in MPUSH_TOKEN"
		}
		return sent, final(answer.StatusCode, errors.New(clean(info)))
	}
	var reply struct {
		MID    string
		Status map[string]string
	}
	if err := json.Unmarshal(packet.Data, &reply); err != nil {
		return sent, fmt.Errorf("the answer of %s: %w", s.server.Redacted(), err)
	}
	sent.Status = reply.Status
	if reply.MID != "" {
		sent.MID, err = parseMID(reply.MID)
	}
	return sent, err
}

// final makes a refusal of an error whose HTTP status says that it is the
// request's.
func final(status int, err error) error {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		if status/100 == 3 || status/100 == 4 {
			return refusal{err}
		}
	}
	return err
}
