package sdk_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestWhatARedirectWouldLoseIsNotHandedOff(t *testing.T) {
	room := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	}))
	defer room.Close()
	plugin := newChat()
	defer plugin.client.CloseIdleConnections()
	core := plugintest.Start(t, plugin, plugintest.Options{Config: fmt.Sprintf(`{"url": %q}`, room.URL)})
	core.Deliver("room", &pluginpb.Message{Text: "dinner is ready"})
	if got := core.Outcome(); got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_RETRY || got.GetError() != "302 Found" {
		t.Errorf("outcome %v", got)
	}
}

func TestWhatNobodyGetsIsNotAnswered204(t *testing.T) {
	for _, status := range []string{"no", "full"} {
		core := plugintest.Start(t, newChat(), plugintest.Options{
			Config: `{"url": "http://127.0.0.1:1", "to": "ann"}`,
			Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
				return &pluginpb.PublishResult{Statuses: []*pluginpb.ReceiverStatus{{Receiver: "ann", Status: status}}}
			},
		})
		request, _ := http.NewRequest(http.MethodPost, "http://"+core.Endpoints()[0], strings.NewReader("coming"))
		request.Header.Set("Authorization", "test")
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s", status, response.Status)
		}
	}
}
