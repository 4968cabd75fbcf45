package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// chat is both ways: what is said in a chat comes in as messages to one receiver,
// and messages to the receiver "room" are said in the chat.
type chat struct {
	config struct {
		URL string `json:"url" jsonschema:"required,writeOnly=true,description=where the chat takes what is said"`
		To  string `json:"to" jsonschema:"description=the receiver of what is said there"`
	}
	server http.Server
	client http.Client
}

// newChat makes a channel whose posts do not become GETs, without what is posted,
// by a redirect: the page it leads to would answer 200.
func newChat() *chat {
	return &chat{client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (*chat) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name: "chat", Version: "1.0", Description: "Joins a chat.",
		Roles: []sdk.Role{sdk.RoleIngress, sdk.RoleEgress},
	}
}

func (p *chat) Config() any { return &p.config }

func (p *chat) Declare(context.Context, sdk.Host) ([]sdk.Route, error) {
	// Without Acks: the chat has the message then, and whether somebody reads it
	// is not known. Pauses double from 1 s to 5 min while the chat is down.
	return []sdk.Route{{Receiver: "room", Policy: sdk.Policy{Retry: time.Second, RetryMax: 5 * time.Minute}}}, nil
}

func (p *chat) Start(ctx context.Context, host sdk.Host) ([]string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var published sdk.Published
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err == nil {
			published, err = host.Publish(r.Context(), sdk.Publish{
				Credentials: sdk.Credentials{Token: r.Header.Get("Authorization")},
				SendType:    sdk.Personal, Target: p.config.To, Text: string(text),
			})
		}
		switch {
		case err == nil && published.MID == 0:
			http.Error(w, "nobody has that name, or the queue is full", http.StatusServiceUnavailable)
		case err == nil: // it is on disk
			w.WriteHeader(http.StatusNoContent)
		case sdk.CodeOf(err) == sdk.CodeUnauthenticated:
			http.Error(w, err.Error(), http.StatusUnauthorized)
		default:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	go func() { _ = p.server.Serve(listener) }()
	return []string{listener.Addr().String()}, nil
}

// Stop lets requests end.
func (p *chat) Stop(ctx context.Context) error { return p.server.Shutdown(ctx) }

func (p *chat) Deliver(ctx context.Context, d *sdk.Delivery) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.URL, strings.NewReader(d.Message.Text))
	if err != nil {
		return sdk.Permanent(err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		if whole, ok := errors.AsType[*url.Error](err); ok {
			return whole.Err // without the url, which nobody else may know
		}
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode < 300:
		return sdk.HandedOff
	case response.StatusCode == http.StatusTooManyRequests:
		return sdk.RetryAfter(time.Minute, errors.New(response.Status))
	default:
		return errors.New(response.Status)
	}
}

func Example_both() {
	room := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Println("said in the chat:", string(text))
	}))
	defer room.Close()
	// func main() { sdk.Serve(newChat()) }
	plugin := newChat()
	defer plugin.client.CloseIdleConnections()
	core, end := try(plugin, plugintest.Options{Config: fmt.Sprintf(`{"url": %q, "to": "ann"}`, room.URL)})
	defer end()

	core.Deliver("room", &pluginpb.Message{Text: "dinner is ready"})
	fmt.Println(core.Outcome().GetKind())

	request, _ := http.NewRequest(http.MethodPost, "http://"+core.Endpoints()[0], strings.NewReader("coming"))
	request.Header.Set("Authorization", "test")
	request.Close = true
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		fmt.Println(response.Status)
	}
	published := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
	fmt.Println("to", published.GetTarget()+":", published.GetText())
	// Output:
	// said in the chat: dinner is ready
	// OUTCOME_KIND_HANDED_OFF
	// 204 No Content
	// to ann: coming
}
