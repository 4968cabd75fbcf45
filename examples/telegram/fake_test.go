package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

const fakeToken = "123456:AAE-secret_of_the_bot"

// botAPI stands for Telegram: it judges each call by the documentation of
// sendMessage, and answers as a test says.
type botAPI struct {
	*httptest.Server

	mu    sync.Mutex
	texts []string // by the order in which they came
	chats []string
	// script has the next answers; when it is empty a proper call is taken.
	script []reply
	grown  chan struct{}
}

type reply struct {
	status int
	body   string
	drop   bool // close the connection instead
}

func startBotAPI(t *testing.T, script ...reply) *botAPI {
	t.Helper()
	b := &botAPI{script: script, grown: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, drop := b.take(r)
		if drop {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(b.Close)
	return b
}

func refuse(status int, description string) (int, string, bool) {
	return status, fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, status, description), false
}

func (b *botAPI) take(r *http.Request) (status int, body string, drop bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.script) > 0 {
		next := b.script[0]
		b.script = b.script[1:]
		return next.status, next.body, next.drop
	}
	if r.Method != http.MethodPost || r.URL.Path != "/bot"+fakeToken+"/sendMessage" {
		return refuse(http.StatusNotFound, "Not Found")
	}
	if r.Header.Get("Content-Type") != "application/json" {
		return refuse(http.StatusBadRequest, "Bad Request: message text is empty")
	}
	var call map[string]any
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		return refuse(http.StatusBadRequest, "Bad Request: can't parse JSON object")
	}
	text, _ := call["text"].(string)
	chat, _ := call["chat_id"].(string)
	_, marked := call["parse_mode"]
	switch {
	case text == "" || marked:
		return refuse(http.StatusBadRequest, "Bad Request: message text is empty")
	case len(utf16.Encode([]rune(text))) > 4096:
		return refuse(http.StatusBadRequest, "Bad Request: message is too long")
	case chat == "":
		return refuse(http.StatusBadRequest, "Bad Request: chat not found")
	}
	b.texts, b.chats = append(b.texts, text), append(b.chats, chat)
	close(b.grown)
	b.grown = make(chan struct{})
	return http.StatusOK, fmt.Sprintf(`{"ok":true,"result":{"message_id":%d}}`, len(b.texts)), false
}

// last is the last that was taken.
func (b *botAPI) last() (chat, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.texts) - 1
	return b.chats[last], b.texts[last]
}

// until waits for the texts that were taken to meet a condition, and returns
// them.
func (b *botAPI) until(t *testing.T, condition func(texts []string) bool) []string {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		b.mu.Lock()
		texts, grown := slices.Clone(b.texts), b.grown
		b.mu.Unlock()
		if condition(texts) {
			return texts
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("the chat has %d texts, and not what is awaited", len(texts))
		}
	}
}
