package webpush

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	webpushgo "github.com/SherClockHolmes/webpush-go"

	"mpush/sdk/dial"
)

// answer is what a push service said.
type answer struct {
	status int
	header http.Header
	reason string // a few words of the body
}

const (
	// maxAnswerBytes is how much of an answer's body is read, and bodyTime how
	// long that may take.
	maxAnswerBytes = 64 << 10
	bodyTime       = time.Second
	maxReasonBytes = 160
	// maxWordBytes: what is longer than a word may be a token.
	maxWordBytes = 24
)

// post makes one request. Its error holds neither the endpoint, which is a
// capability, nor anything secret.
func (p *plugin) post(ctx context.Context, s *webpushgo.Subscription, u *url.URL, payload []byte, record int, h hints) (answer, error) {
	client := p.guarded
	if p.door.isAllowed(u) {
		client = p.open
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := webpushgo.SendNotificationWithContext(ctx, payload, s, &webpushgo.Options{
		HTTPClient:      client,
		RecordSize:      uint32(record),
		Subscriber:      p.settings.Subject,
		Topic:           h.topic,
		TTL:             h.ttl,
		Urgency:         h.urgency,
		VAPIDPublicKey:  p.keys.Public,
		VAPIDPrivateKey: p.keys.Private,
	})
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			return answer{}, errors.New("no answer in time")
		}
		return answer{}, errors.New(dial.Reason(err))
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		// The body is the connection itself: no context ends a read of it.
		return answer{status: response.StatusCode, header: response.Header}, nil
	}
	// The head of the answer says what became of the message: a body that goes on
	// holds nothing up.
	defer time.AfterFunc(bodyTime, cancel).Stop()
	// What is read to its end lets the connection be used again.
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	return answer{response.StatusCode, response.Header, reason(body, u)}, nil
}

// reason returns the first words of an answer's body, for the log: push
// services tell there what they do not like. Nothing that could be a token is
// in it.
func reason(body []byte, u *url.URL) string {
	if bytes.Contains(body, []byte(u.RequestURI())) && u.RequestURI() != "/" {
		return ""
	}
	words := strings.FieldsFunc(strings.ToValidUTF8(string(body), ""), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
	})
	var text strings.Builder
	for _, word := range words {
		if len(word) > maxWordBytes {
			word = "…"
		}
		if text.Len()+1+len(word) > maxReasonBytes {
			break
		}
		if text.Len() > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(word)
	}
	return text.String()
}
