package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// secrets are the keys that sign what is posted, by the Standard Webhooks
// specification. In a configuration it is one text, "whsec_" and the base64 of
// 24 to 64 bytes, or a list of up to two, while one replaces the other.
type secrets [][]byte

const (
	secretPrefix   = "whsec_"
	maxSecrets     = 2
	minSecretBytes = 24
	maxSecretBytes = 64
)

// JSONSchema says what a configuration may hold. What the texts must be, Configure
// says, without citing them.
func (secrets) JSONSchema() *jsonschema.Schema {
	most := uint64(maxSecrets)
	return &jsonschema.Schema{WriteOnly: true, AnyOf: []*jsonschema.Schema{
		{Type: "string"},
		{Type: "array", Items: &jsonschema.Schema{Type: "string"}, MaxItems: &most},
	}}
}

// UnmarshalJSON reads the secrets. Errors do not cite them.
func (s *secrets) UnmarshalJSON(text []byte) error {
	var given []json.RawMessage
	if json.Unmarshal(text, &given) != nil {
		given = []json.RawMessage{text}
	}
	if len(given) > maxSecrets {
		return fmt.Errorf("expected at most %d secrets, not %d", maxSecrets, len(given))
	}
	read := make(secrets, 0, len(given))
	for _, one := range given {
		key, err := readSecret(one)
		if err != nil {
			return err
		}
		read = append(read, key)
	}
	*s = read
	return nil
}

func readSecret(text []byte) ([]byte, error) {
	var secret *string
	if json.Unmarshal(text, &secret) != nil || secret == nil {
		return nil, errors.New("expected a text that begins with whsec_, or a list of such")
	}
	encoded, ok := strings.CutPrefix(*secret, secretPrefix)
	if !ok {
		return nil, errors.New("expected a text that begins with whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("expected base64 after whsec_")
	}
	if len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return nil, fmt.Errorf("expected the base64 of %d to %d bytes after whsec_, not of %d", minSecretBytes, maxSecretBytes, len(key))
	}
	return key, nil
}

// sign adds the headers that let the endpoint check who sent body, and when. The
// id is the message's, the same in all attempts.
func (s secrets) sign(h http.Header, id string, at time.Time, body []byte) {
	if len(s) == 0 {
		return
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, key := range s {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", timestamp)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}
