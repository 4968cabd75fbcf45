package sdk_test

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"mpush/sdk"
	"mpush/sdk/plugintest"
)

// signer has a state of its own: a key that it makes once, keeps with the core,
// and whose public half clients read when they log in.
type signer struct{ key ed25519.PrivateKey }

func (*signer) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "signer", Version: "1.0", Description: "Signs."}
}

// Declare comes before any client is let in, by whatever channel: the place to
// read state and to announce.
func (p *signer) Declare(ctx context.Context, host sdk.Host) ([]sdk.Route, error) {
	kept, err := host.State(ctx, "key")
	if err != nil {
		return nil, err
	}
	if p.key = kept["key"]; len(p.key) != ed25519.PrivateKeySize {
		if _, p.key, err = ed25519.GenerateKey(nil); err != nil {
			return nil, err
		}
		// It is on disk when this returns. A plugin may be killed at any moment:
		// what is announced must not be lost, so it is kept first.
		if err := host.SetState(ctx, "key", p.key); err != nil {
			return nil, err
		}
	}
	return nil, host.Announce(ctx, map[string]any{"signerKey": []byte(p.key.Public().(ed25519.PublicKey))})
}

func Example_state() {
	// func main() { sdk.Serve(&signer{}) }
	core, end := try(&signer{}, plugintest.Options{})
	first, kept := core.Announced()["signerKey"], core.State()
	end()

	// The plugin's next life.
	core, end = try(&signer{}, plugintest.Options{State: map[string]string{"key": string(kept["key"])}})
	defer end()
	fmt.Println(len(kept), string(core.Announced()["signerKey"]) == string(first))
	// Output:
	// 1 true
}
