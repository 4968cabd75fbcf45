package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// answer is what the Bot API says (https://core.telegram.org/bots/api#making-requests).
// Two types and one call are all that this channel needs of the API, so it has no
// bot library: those bring polling, handlers and their own retries along, and
// put the url into their errors.
type answer struct {
	OK          bool   `json:"ok"`
	Description string `json:"description"`
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"` // seconds
		MigratedTo int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

// sendMessage is its request. Without a parse_mode the text is taken as it is:
// nothing that a sender writes is markup.
type sendMessage struct {
	ChatID      string `json:"chat_id"`
	Text        string `json:"text"`
	LinkPreview struct {
		Disabled bool `json:"is_disabled"`
	} `json:"link_preview_options"`
}

const (
	maxAnswerBytes = 64 << 10
	maxRetryAfter  = 24 * time.Hour
)

// Deliver sends one message to one chat.
func (t *telegram) Deliver(ctx context.Context, d *sdk.Delivery) error {
	attempt, cancel := context.WithTimeout(ctx, t.settings.Timeout)
	defer cancel()
	err := t.send(attempt, string(d.Address), textOf(d.Message))
	switch {
	case errors.Is(err, sdk.HandedOff):
		t.failures.Clear(d.Receiver)
	case ctx.Err() == nil: // else nobody wants to know any more
		t.failures.Note(d.Receiver, err)
	}
	return err
}

func (t *telegram) send(ctx context.Context, chat, text string) error {
	request := sendMessage{ChatID: chat, Text: text}
	request.LinkPreview.Disabled = true
	body, err := json.Marshal(request)
	if err != nil {
		return sdk.Permanent(err)
	}
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, t.settings.APIURL+"/bot"+t.settings.BotToken+"/sendMessage", bytes.NewReader(body))
	if err != nil {
		return sdk.Retry(errors.New("the url of the Bot API can not be used")) // err shows it
	}
	call.Header.Set("Content-Type", "application/json")
	response, err := t.client.Do(call)
	if err != nil {
		return sdk.Retry(errors.New(dial.Reason(err))) // without the url
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return sdk.Retry(errors.New(dial.Reason(err)))
	}
	var got answer
	if err := json.Unmarshal(reply, &got); err != nil {
		return sdk.Retry(fmt.Errorf("HTTP %d, and the answer is not the Bot API's", response.StatusCode))
	}
	return t.judge(response.StatusCode, got)
}

// judge says what an answer means for the message.
func (t *telegram) judge(status int, got answer) error {
	err := fmt.Errorf("HTTP %d: %s", status, t.describe(got))
	switch {
	case status == http.StatusOK && got.OK:
		return sdk.HandedOff
	case status == http.StatusTooManyRequests && got.Parameters.RetryAfter > 0:
		return sdk.RetryAfter(min(time.Duration(got.Parameters.RetryAfter), maxRetryAfter/time.Second)*time.Second, err)
	case status == http.StatusUnauthorized, status == http.StatusNotFound:
		// Nothing is wrong with the message: it waits for the operator.
		return sdk.Retry(fmt.Errorf("%w: check botToken", err))
	case got.Parameters.MigratedTo != 0:
		return sdk.Retry(fmt.Errorf("%w: its chat is %d now, write that into the configuration", err, got.Parameters.MigratedTo))
	case status == http.StatusForbidden:
		// The bot is blocked or was thrown out. The chat may take it back, so the
		// route stays; but nobody waits there for what was sent meanwhile.
		return sdk.Permanent(fmt.Errorf("%w: the chat must let the bot in again", err))
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusConflict && status != http.StatusRequestTimeout:
		return sdk.Permanent(err)
	default:
		return sdk.Retry(err)
	}
}

// describe is the API's own word, short, and without the token whatever comes.
func (t *telegram) describe(got answer) string {
	text := strings.ReplaceAll(got.Description, t.settings.BotToken, "[redacted]")
	if text == "" {
		return "no reason given"
	}
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
