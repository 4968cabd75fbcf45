//go:build deps

package mpush

import (
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/gorilla/websocket"
	_ "github.com/hashicorp/go-plugin"
	_ "github.com/hashicorp/go-hclog"
	_ "github.com/knadh/koanf/v2"
	_ "github.com/knadh/koanf/providers/confmap"
	_ "github.com/go-viper/mapstructure/v2"
	_ "github.com/tailscale/hujson"
	_ "github.com/spf13/cobra"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid"
	_ "go.uber.org/goleak"
	_ "golang.org/x/sys/unix"
)
