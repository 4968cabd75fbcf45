#!/usr/bin/env node
// An mpush channel that posts to Slack's incoming webhooks.
import { serve } from './mpush.js'
import { Slack } from './slack.js'

serve(new Slack())
