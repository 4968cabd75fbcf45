package webpush

import (
	"bytes"
	"encoding/json"
	"strings"

	webpushgo "github.com/SherClockHolmes/webpush-go"
)

// hints are a message's wishes for the push service (RFC 8030, section 5).
type hints struct {
	urgency webpushgo.Urgency
	topic   string // a later message with the same one replaces it; "" is none
}

// maxTopicBytes bounds a topic (RFC 8030, section 5.4).
const maxTopicBytes = 32

const topicAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// hintsOf reads urgency and topic from a message's extra. What is not valid
// there is ignored: it may mean something else to the receiver.
func hintsOf(extra []byte) hints {
	h := hints{urgency: webpushgo.UrgencyHigh}
	if !bytes.Contains(extra, []byte(`"urgency"`)) && !bytes.Contains(extra, []byte(`"topic"`)) {
		return h
	}
	fields, err := objectOf("extra", extra)
	if err != nil {
		return h
	}
	switch urgency := webpushgo.Urgency(textIn(fields["urgency"])); urgency {
	case webpushgo.UrgencyVeryLow, webpushgo.UrgencyLow, webpushgo.UrgencyNormal, webpushgo.UrgencyHigh:
		h.urgency = urgency
	}
	if topic := textIn(fields["topic"]); len(topic) <= maxTopicBytes && strings.Trim(topic, topicAlphabet) == "" {
		h.topic = topic
	}
	return h
}

// textIn returns a string's content, "" for any other value.
func textIn(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}
