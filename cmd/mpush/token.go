package main

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mpush/core/config"
)

func tokenCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke tokens with rights of their own",
		Long: `Token deals with the entries of "tokens" in the configuration: tokens that may
do less than everything, each with a name. A relay that runs follows its file.`,
		Example: "  mpush token new ci --rights send --target 'phone-*' --write\n  mpush token list\n  mpush token revoke ci",
	}
	cmd.AddCommand(tokenNewCommand(s), tokenListCommand(s), tokenRevokeCommand(s))
	return cmd
}

// fileOptions say which file a command changes.
func (s *settings) fileOptions() config.Options {
	return config.Options{Path: cmp.Or(s.config, os.Getenv("MPUSH_CONFIG")), Environ: os.Environ()}
}

// newToken is the answer of token new, for scripts.
type newToken struct {
	Name   string             `json:"name"`
	Token  string             `json:"token"`
	Entry  *config.TokenEntry `json:"entry"`
	Config string             `json:"config,omitempty"` // the file that has the entry now
}

// tokenFlags are those of token new.
type tokenFlags struct {
	rights, names, groups, targets, targetGroups []string
	expires                                      string
	write                                        bool
}

// entry is what the flags ask for.
func (f *tokenFlags) entry(name, token string, now time.Time) (*config.TokenEntry, error) {
	sum := sha256.Sum256([]byte(token))
	entry := &config.TokenEntry{Name: name, SHA256: hex.EncodeToString(sum[:]), Rights: f.rights, Names: f.names, Groups: f.groups}
	if len(f.targets)+len(f.targetGroups) > 0 {
		entry.Targets = &config.TargetEntry{Names: f.targets, Groups: f.targetGroups}
	}
	if f.expires != "" {
		at, err := config.ParseExpiry(f.expires, now)
		if err != nil {
			return nil, exitError{fmt.Errorf("--expires: %w", err), exitUsage}
		}
		if !at.After(now) {
			return nil, exitError{fmt.Errorf("--expires %s: that is over already", f.expires), exitUsage}
		}
		entry.Expires = at.Format(time.RFC3339)
	}
	if err := entry.Check(); err != nil {
		return nil, exitError{err, exitUsage}
	}
	return entry, nil
}

func tokenNewCommand(s *settings) *cobra.Command {
	o, f := &operator{settings: s}, &tokenFlags{}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a random token and print it, once",
		Long: `New makes a random token of 256 bits and prints it. It is kept nowhere: the
entry of the configuration, which is printed too, holds its SHA-256 alone. With
--write the entry goes into the configuration file, whose comments and all else
stay, and a relay that runs takes it over by itself.

Patterns: * stands for any run of characters. Without --name it may be every
receiver; with --name, and without --group, it may join no group.`,
		Example: `  mpush token new ci --rights send --target phone --write
  mpush token new phones --rights receive --name 'phone-*' --group family --expires 90d --write`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			value := make([]byte, 32)
			if _, err := rand.Read(value); err != nil {
				return err
			}
			answer := newToken{Name: args[0], Token: hex.EncodeToString(value)}
			var err error
			if answer.Entry, err = f.entry(args[0], answer.Token, time.Now()); err != nil {
				return err
			}
			if f.write {
				if answer.Config, err = config.AddToken(s.fileOptions(), answer.Entry); err != nil {
					return err
				}
			}
			return o.print(cmd.OutOrStdout(), answer, func(w io.Writer) {
				fmt.Fprintf(w, "The token %q, which is not shown again:\n\n  %s\n\n", answer.Name, answer.Token)
				if f.write {
					fmt.Fprintf(w, "Its entry is in %s now.\n", answer.Config)
				} else {
					fmt.Fprintf(w, "Put its entry into \"tokens\" of the configuration (or use --write):\n\n  \"tokens\": [\n    %s\n  ]\n", answer.Entry)
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.rights, "rights", []string{config.MaySend, config.MayReceive}, "what it may do: "+strings.Join(config.TokenRights(), ", "))
	flags.StringArrayVar(&f.names, "name", nil, "receiver that it may be, a pattern; may be repeated")
	flags.StringArrayVar(&f.groups, "group", nil, "group that it may join, a pattern; may be repeated")
	flags.StringArrayVar(&f.targets, "target", nil, "receiver that it may send to, a pattern; may be repeated")
	flags.StringArrayVar(&f.targetGroups, "target-group", nil, "group that it may send to, a pattern; may be repeated")
	flags.StringVar(&f.expires, "expires", "", `when it ends: "90d", "12h" or "2099-01-31T00:00:00Z" (default never)`)
	flags.BoolVar(&f.write, "write", false, "write the entry into the configuration file")
	flags.BoolVar(&o.json, "json", false, "print JSON, for scripts")
	return cmd
}

// listedToken is a token as token list shows it.
type listedToken struct {
	Name    string        `json:"name"`
	Rights  []string      `json:"rights"`
	MayBe   *config.Scope `json:"mayBe,omitempty"` // none: anybody, in any group
	Targets *config.Scope `json:"targets,omitempty"`
	Expires string        `json:"expires,omitempty"`
	Expired bool          `json:"expired,omitempty"`
}

func tokenListCommand(s *settings) *cobra.Command {
	o := &operator{settings: s}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the tokens of the configuration: rights, scopes, expiry; never values",
		Long: `List shows the entries of "tokens" in the configuration. The single "token" is
not among them: it may do everything.`,
		Example: "  mpush token list\n  mpush token list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			tokens := []listedToken{}
			for _, t := range cfg.Tokens {
				listed := listedToken{Name: t.Name, Rights: t.Rights, MayBe: t.Receivers, Targets: t.Targets}
				if !t.Expires.IsZero() {
					listed.Expires, listed.Expired = t.Expires.Format(time.RFC3339), !time.Now().Before(t.Expires)
				}
				tokens = append(tokens, listed)
			}
			return o.print(cmd.OutOrStdout(), tokens, func(w io.Writer) { printTokens(w, cfg, tokens) })
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, for scripts")
	return cmd
}

func printTokens(w io.Writer, cfg *config.Config, tokens []listedToken) {
	if len(tokens) == 0 {
		fmt.Fprintf(w, "%s has no tokens but \"token\": \"mpush token new NAME\" makes one.\n", cfg.Path)
		return
	}
	fmt.Fprintln(w, "NAME\tRIGHTS\tMAY BE\tIN GROUPS\tMAY SEND TO\tAND GROUPS\tEXPIRES")
	for _, t := range tokens {
		be, groups := scopeText(t.MayBe, t.Rights, config.MayReceive)
		to, toGroups := scopeText(t.Targets, t.Rights, config.MaySend)
		expires := cmp.Or(t.Expires, "never")
		if t.Expired {
			expires += " (over)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", line(t.Name), strings.Join(t.Rights, ","), be, groups, to, toGroups, expires)
	}
}

// scopeText says whom a right reaches; without the right, nobody.
func scopeText(scope *config.Scope, rights []string, right string) (names, groups string) {
	switch {
	case !strings.Contains(" "+strings.Join(rights, " ")+" ", " "+right+" "):
		return "-", "-"
	case scope == nil:
		return "*", "*"
	}
	return cmp.Or(line(strings.Join(scope.Names, " ")), "-"), cmp.Or(line(strings.Join(scope.Groups, " ")), "-")
}

// revokedToken is the answer of token revoke, for scripts.
type revokedToken struct {
	Name   string `json:"name"`
	Config string `json:"config"`
}

func tokenRevokeCommand(s *settings) *cobra.Command {
	o := &operator{settings: s}
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Take a token out of the configuration file",
		Long: `Revoke removes the token's entry from the file, and nothing else. A relay that
runs takes that over by itself: the token lets nobody in any more, the sessions
that were made with it end, and their connections are closed. Others stay.

Web push subscriptions that its clients have made stay with their receivers:
"mpush forget" takes a receiver away with all that it has.`,
		Example: "  mpush token revoke ci",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := config.RemoveToken(s.fileOptions(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), revokedToken{args[0], path}, func(w io.Writer) {
				fmt.Fprintf(w, "The token %q is not in %s any more.\n", args[0], path)
			})
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, for scripts")
	return cmd
}
