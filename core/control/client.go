package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client asks the relay of a data directory. Its methods may be called from any
// goroutine. What the relay refuses is an *Error.
type Client struct {
	dataDir string
	http    *http.Client
}

// NewClient makes a client. Nothing is opened yet.
func NewClient(dataDir string) (*Client, error) {
	path, err := SocketPath(dataDir)
	if err != nil {
		return nil, err
	}
	return newClient(dataDir, path, os.Getuid()), nil
}

// newClient makes a client of the relay that a user runs, as SocketPath has it.
func newClient(dataDir, path string, user int) *Client {
	dialer := new(net.Dialer)
	return &Client{dataDir, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if filepath.Base(path) != socketName {
				if err := ownedBy(path, user); err != nil {
					return nil, err
				}
			}
			return dialer.DialContext(ctx, "unix", path)
		},
	}}}
}

// ownedBy refuses what is another user's: anybody may make a socket of any name
// among the temporary files.
func ownedBy(path string, user int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != user {
		return fmt.Errorf("the control socket %s belongs to user %d, not to %d: it is none of this relay's", path, stat.Uid, user)
	}
	return nil
}

// Close lets go of connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// readTime is how long the relay may take over what it has in memory or reads by
// the page.
const readTime = 30 * time.Second

func (c *Client) do(ctx context.Context, method, path string, request, into any) error {
	if method != http.MethodGet || path == auditPath {
		return c.ask(ctx, method, path, request, into)
	}
	reading, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	err := c.ask(reading, method, path, request, into)
	if err != nil && ctx.Err() == nil && reading.Err() != nil {
		return fmt.Errorf("the relay of %s does not answer within %v: is its process stopped, or does its disk hang?", c.dataDir, readTime)
	}
	return err
}

func (c *Client) ask(ctx context.Context, method, path string, request, into any) error {
	body, err := marshal(request)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://mpush"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no relay answers for the data directory %s: is \"mpush serve\" running with this --data?", c.dataDir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the data directory %s belongs to another user: run this as that user", c.dataDir)
	case err != nil:
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return fmt.Errorf("the relay of %s: %w", c.dataDir, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Error string }
		if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil || problem.Error == "" {
			problem.Error = answer.Status
		}
		return &Error{answer.StatusCode, problem.Error}
	}
	decoder := json.NewDecoder(answer.Body)
	if page, ok := into.(*DeadLetters); ok {
		err = page.decode(decoder)
	} else {
		err = decoder.Decode(into)
	}
	if err != nil {
		return fmt.Errorf("the answer of the relay: %w", err)
	}
	return nil
}

// Status tells how the relay is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Channels tells how the channels are, those that are switched off included.
func (c *Client) Channels(ctx context.Context) (channels []Channel, err error) {
	return channels, c.do(ctx, http.MethodGet, "/v1/channels", nil, &channels)
}

// Trace returns all that is known of a message.
func (c *Client) Trace(ctx context.Context, mid MID) (t Trace, err error) {
	return t, c.do(ctx, http.MethodGet, "/v1/messages/"+strconv.FormatInt(int64(mid), 10), nil, &t)
}

// Send sends a message.
func (c *Client) Send(ctx context.Context, send Send) (s Sent, err error) {
	return s, c.do(ctx, http.MethodPost, "/v1/messages", send, &s)
}

// Receivers returns receivers by name, after one, about limit of them, 0 for the
// default.
func (c *Client) Receivers(ctx context.Context, after string, limit int) (r Receivers, err error) {
	query := url.Values{"after": {after}}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return r, c.do(ctx, http.MethodGet, "/v1/receivers?"+query.Encode(), nil, &r)
}

// Receiver returns one.
func (c *Client) Receiver(ctx context.Context, name string) (r Receiver, err error) {
	return r, c.do(ctx, http.MethodGet, receiverPath(name), nil, &r)
}

// Forget forgets a receiver, its routes and its queue.
func (c *Client) Forget(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, receiverPath(name), nil, &struct{}{})
}

// receiverPath keeps a name in one piece: paths with "." and ".." are cleaned.
func receiverPath(name string) string {
	return "/v1/receivers/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E")
}

// Dead returns dead letters, the newest first: of one receiver or, for "", of all,
// below a mid unless that is 0, about limit of them, 0 for the default.
func (c *Client) Dead(ctx context.Context, receiver string, below MID, limit int) (d DeadLetters, err error) {
	query := url.Values{"receiver": {receiver}, "below": {strconv.FormatInt(int64(below), 10)}}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return d, c.do(ctx, http.MethodGet, "/v1/dead?"+query.Encode(), nil, &d)
}

// Replay queues a dead letter again.
func (c *Client) Replay(ctx context.Context, l Letter) error {
	return c.do(ctx, http.MethodPost, "/v1/dead/replay", l, &struct{}{})
}

// Drop takes a dead letter off the list.
func (c *Client) Drop(ctx context.Context, l Letter) error {
	return c.do(ctx, http.MethodPost, "/v1/dead/drop", l, &struct{}{})
}

// auditPath reads the whole history, which may take any time.
const auditPath = "/v1/audit"

// Audit returns the balance of all receivers.
func (c *Client) Audit(ctx context.Context) (a Audit, err error) {
	return a, c.do(ctx, http.MethodGet, auditPath, nil, &a)
}

// Backup has a copy of the database written to an absolute path.
func (c *Client) Backup(ctx context.Context, path string) (b Backup, err error) {
	request := struct {
		Path string `json:"path"`
	}{path}
	return b, c.do(ctx, http.MethodPost, "/v1/backup", request, &b)
}
