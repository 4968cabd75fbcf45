package fakepush

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
)

// Subscription is a receiver's, as a browser makes it.
type Subscription struct {
	server    *Server
	path      string
	serverKey string // the only sender that may push to it
	key       *ecdh.PrivateKey
	auth      []byte
	script    script // under the server's lock
}

// Subscribe makes a subscription. serverKey is the sender's public VAPID key,
// base64url without padding, as it announces it.
func (s *Server) Subscribe(serverKey string) *Subscription {
	s.t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatalf("fakepush: %v", err)
	}
	subscription := &Subscription{server: s, path: "/push/" + rand.Text(), serverKey: serverKey, key: key, auth: make([]byte, authBytes)}
	rand.Read(subscription.auth)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[subscription.path] = subscription
	return subscription
}

// Endpoint is its url.
func (s *Subscription) Endpoint() string { return s.server.Origin() + s.path }

// Auth is its secret, base64url without padding.
func (s *Subscription) Auth() string { return base64.RawURLEncoding.EncodeToString(s.auth) }

// P256dh is its public key, base64url without padding.
func (s *Subscription) P256dh() string {
	return base64.RawURLEncoding.EncodeToString(s.key.PublicKey().Bytes())
}

// JSON is what a browser makes of it: {"endpoint", "expirationTime", "keys"}.
func (s *Subscription) JSON() string {
	text, err := json.Marshal(map[string]any{
		"endpoint": s.Endpoint(), "expirationTime": nil,
		"keys": map[string]string{"auth": s.Auth(), "p256dh": s.P256dh()},
	})
	if err != nil {
		s.server.t.Fatalf("fakepush: %v", err)
	}
	return string(text)
}
