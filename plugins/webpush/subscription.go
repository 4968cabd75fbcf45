package webpush

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	webpushgo "github.com/SherClockHolmes/webpush-go"
)

// A subscription (webpushgo.Subscription) is kept as the address of its route:
// {"endpoint", "keys": {"auth", "p256dh"}}, in one spelling, so that the same
// subscription is the same address.

// maxKeyText bounds the text of a subscription's keys; p256dh has 88 with
// padding.
const maxKeyText = 128

// authBytes is the length of a subscription's secret (RFC 8291, section 3.2).
const authBytes = 16

// errNoEndpoint is what parseSubscription returns where there is none.
var errNoEndpoint = errors.New("data.endpoint: expected a string")

// parseSubscription reads the data of a registration, whose endpoint d must
// admit. The error tells the client what is wrong.
func parseSubscription(ctx context.Context, data []byte, d door) (*webpushgo.Subscription, error) {
	fields, err := objectOf("data", data)
	if err != nil {
		return nil, err
	}
	endpoint, err := stringOf("data.endpoint", fields["endpoint"])
	if err != nil {
		return nil, err
	}
	if endpoint == "" {
		return nil, errNoEndpoint
	}
	keys, err := keysOf(fields["keys"])
	if err != nil {
		return nil, err
	}
	u, err := parseEndpoint(endpoint)
	if err == nil {
		err = d.admit(ctx, u)
	}
	if err != nil {
		return nil, fmt.Errorf("data.endpoint: %w", err)
	}
	return &webpushgo.Subscription{Endpoint: u.String(), Keys: keys}, nil
}

// keysOf checks a subscription's keys and returns them in base64url without
// padding.
func keysOf(raw json.RawMessage) (webpushgo.Keys, error) {
	fields, err := objectOf("data.keys", raw)
	if err != nil {
		return webpushgo.Keys{}, err
	}
	auth, err := bytesOf("data.keys.auth", fields["auth"])
	if err != nil {
		return webpushgo.Keys{}, err
	}
	if len(auth) != authBytes {
		return webpushgo.Keys{}, fmt.Errorf("data.keys.auth: expected %d bytes", authBytes)
	}
	point, err := bytesOf("data.keys.p256dh", fields["p256dh"])
	if err != nil {
		return webpushgo.Keys{}, err
	}
	if _, err := ecdh.P256().NewPublicKey(point); err != nil {
		return webpushgo.Keys{}, errors.New("data.keys.p256dh: expected an uncompressed point of the curve P-256")
	}
	return webpushgo.Keys{
		Auth:   base64.RawURLEncoding.EncodeToString(auth),
		P256dh: base64.RawURLEncoding.EncodeToString(point),
	}, nil
}

func objectOf(place string, raw json.RawMessage) (map[string]json.RawMessage, error) {
	// A struct would take keys of any case.
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, errors.New(place + ": expected an object")
	}
	return fields, nil
}

// stringOf returns "" for what is missing or null.
func stringOf(place string, raw json.RawMessage) (string, error) {
	var text string
	if len(raw) > 0 && json.Unmarshal(raw, &text) != nil {
		return "", errors.New(place + ": expected a string")
	}
	return text, nil
}

func bytesOf(place string, raw json.RawMessage) ([]byte, error) {
	text, err := stringOf(place, raw)
	if err != nil {
		return nil, err
	}
	decoded, err := decodeBase64(text)
	if err != nil || text == "" || len(text) > maxKeyText {
		return nil, errors.New(place + ": expected base64url")
	}
	return decoded, nil
}

// readAddress is the other end of what a registration stored.
func readAddress(address []byte) (*webpushgo.Subscription, *url.URL, error) {
	var s webpushgo.Subscription
	if err := json.Unmarshal(address, &s); err != nil {
		return nil, nil, errors.New("the stored subscription is not JSON")
	}
	u, err := parseEndpoint(s.Endpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("the stored endpoint: %w", err)
	}
	return &s, u, nil
}
