#!/bin/bash
# What every script here assumes: the settings of a fresh Linux 6.18, whatever the machine's own are. Scripts change
# what they are about. On leat these are the defaults already.
ip tcp_metrics flush all > /dev/null 2>&1
tc qdisc replace dev tun0 root pfifo > /dev/null 2>&1
sysctl -q net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_wmem="4096 16384 4194304"
sysctl -q net.ipv4.tcp_timestamps=1 net.ipv4.tcp_sack=1 net.ipv4.tcp_dsack=1 net.ipv4.tcp_window_scaling=1
sysctl -q net.ipv4.tcp_ecn=2 net.ipv4.tcp_fastopen=1 net.ipv4.tcp_syncookies=1 net.ipv4.tcp_frto=2
sysctl -q net.ipv4.tcp_recovery=1 net.ipv4.tcp_early_retrans=3 net.ipv4.tcp_reordering=3
sysctl -q net.ipv4.tcp_max_reordering=300 net.ipv4.tcp_retries1=3 net.ipv4.tcp_retries2=15
sysctl -q net.ipv4.tcp_syn_retries=6 net.ipv4.tcp_synack_retries=5 net.ipv4.tcp_syn_linear_timeouts=4
sysctl -q net.ipv4.tcp_orphan_retries=0 net.ipv4.tcp_fin_timeout=60 net.ipv4.tcp_thin_linear_timeouts=0
sysctl -q net.ipv4.tcp_slow_start_after_idle=1 net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_min_tso_segs=2
sysctl -q net.ipv4.tcp_keepalive_time=7200 net.ipv4.tcp_keepalive_intvl=75 net.ipv4.tcp_keepalive_probes=9
sysctl -q net.ipv4.tcp_min_snd_mss=48 net.ipv4.tcp_base_mss=1024 net.ipv4.tcp_mtu_probing=0
sysctl -q net.ipv4.tcp_comp_sack_delay_ns=1000000 net.ipv4.tcp_comp_sack_slack_ns=100000 net.ipv4.tcp_comp_sack_nr=44
sysctl -q net.ipv4.tcp_rfc1337=0 net.ipv4.tcp_abort_on_overflow=0 net.ipv4.tcp_limit_output_bytes=4194304
sysctl -q net.ipv4.tcp_challenge_ack_limit=2147483647 net.ipv4.tcp_invalid_ratelimit=500
sysctl -q net.ipv4.tcp_pacing_ss_ratio=200 net.ipv4.tcp_pacing_ca_ratio=120 net.ipv4.tcp_autocorking=1
sysctl -q net.ipv4.tcp_notsent_lowat=4294967295 net.ipv4.tcp_adv_win_scale=1 net.ipv4.tcp_moderate_rcvbuf=1
true
