/**
 * What is typed at the shim and at Docker 28 side by side (test/e2e/shim-side-by-side.test.ts). One command a line, words as a
 * shell splits them, without `docker`; a line of shell begins with `$ `; `# …` tells what a group is about.
 */

export const commands: string = String.raw`
# networks
network create n1
network create n1
network create --subnet 10.5.0.0/24 --gateway 10.5.0.1 --label a=b n2
network create --subnet bad n3
network create --subnet 10.6.0.5/24 n3
network create --gateway 10.6.0.1 n3
network create --subnet 10.6.0.0/24 --ip-range 10.7.0.0/24 n3
network create --subnet 10.6.0.0/24 --gateway 10.7.0.1 n3
network create -d host n3
network create -d null n3
network create bridge
network create ""
network create --ingress n3
network create --config-only --subnet 10.8.0.0/24 cfg
network create --config-from cfg n8
network create --config-from nosuch n8b
network ls -q --filter name=n1
network ls --filter id=zzz
network ls --filter driver=bridge --format {{.Name}}
network ls --filter type=builtin --format {{.Name}}
network ls --filter type=custom --format {{.Name}}
network ls --filter type=wrong
network ls --filter scope=local --format {{.Name}}
network ls --filter scope=swarm
network ls --filter label=a=b --format {{.Name}}:{{.Labels}}
network ls --filter label=a=c
network ls --filter dangling=true --format {{.Name}}
network ls --filter dangling=x
network ls --filter nosuch=1
network ls --format {{.Name}}:{{.Scope}}:{{.IPv6}}:{{.IPv4}}:{{.Internal}}:{{.Labels}}
network inspect none
network inspect host
network inspect nosuch
network inspect --format "{{json .IPAM.Config}} {{json .IPAM.Options}} {{json .Options}} {{json .Labels}}" n2
network rm nosuch
network rm bridge
network rm cfg
network rm n8 cfg nosuch n2
network rm -f nosuch
network prune -f --filter label=a
network prune -f --filter until=x
network prune -f --filter nosuch=x
network prune -f
network connect nosuch nosuch
network connect bridge nosuch
network disconnect bridge nosuch
# volumes
volume create v1
volume create v1
volume create --label a=b v2
volume create "a b"
volume create a
volume create ../x
volume ls -q --filter name=v
volume ls --filter driver=local --filter name=v
volume ls --filter label=a --format {{.Name}}
volume ls --filter dangling=true --filter name=v --format {{.Name}}
volume ls --filter dangling=x
volume ls --filter nosuch=x
volume ls --format "{{.Name}}:{{.Driver}}:{{.Scope}}:{{.Labels}}:{{.Links}}:{{.Size}}" --filter name=v
volume inspect nosuch
volume rm nosuch
volume rm -f nosuch
volume rm v1 nosuch v2
volume prune -f --filter nosuch=1
# what a container may be made with
create --name x1 -p 80 busybox true
create --name x1 busybox true
create -p 99999:80 busybox true
create -v a:/b:ro,rw busybox true
create -v /x:relative busybox true
create -v /a:/ busybox true
create --mount type=bind,source=/nosuch,target=/x busybox true
create --mount type=bind,target=/x busybox true
create --mount type=volume,target=rel busybox true
create --mount type=wrong,target=/x busybox true
create --mount type=bind,source=/tmp,target=/x,bind-propagation=wrong busybox true
create --mount type=volume,target=/x --mount type=volume,target=/x busybox true
create --tmpfs rel busybox true
create --volumes-from x1:zz busybox true
create --link nosuch busybox true
create --ip 1.2.3.4 busybox true
create --network none --ip 1.2.3.4 busybox true
create --network container: busybox true
create --network container:x1 --hostname foo busybox true
create --network host --link x1 busybox true
create --mac-address wrong busybox true
create --pid container:nosuch busybox true
create --ipc container:nosuch busybox true
create --pid wrong busybox true
create --userns wrong busybox true
create --log-opt mode=wrong busybox true
create --log-opt mode=non-blocking --log-opt max-buffer-size=x busybox true
create --sysctl wrong busybox true
create --device-cgroup-rule wrong busybox true
create --security-opt wrong busybox true
create --health-interval=-1s --health-cmd x busybox true
create --restart on-failure:-1 busybox true
create --restart always --rm busybox true
create --stop-signal 99 --name stop99 busybox true
create --name "a b" busybox true
create "" true
start nosuch x1
# lists
ps -a --format "{{.Names}}|{{.Image}}|{{.Command}}|{{.Labels}}|{{.Networks}}" --filter name=x1
ps -a --filter status=wrong
ps -a --filter exited=0 --filter name=x1 --format {{.Names}}
ps -a --filter exited=x
ps -a --filter ancestor=nosuch --format {{.Names}}
ps -a --filter since=nosuch
ps -a --filter publish=80 --format {{.Names}}
ps -a --filter expose=80/tcp --format {{.Names}}
ps -a --filter publish=x
ps -a --filter health=none --filter name=x1 --format {{.Names}}
ps -a --filter health=wrong
ps -a --filter nosuch=1
# one container through its verbs
run -d --name r1 --label a=b -p 8081:80 --stop-timeout 1 --log-driver none busybox sleep 1000
port r1
port r1 80
port r1 99
inspect r1 --format "{{json .NetworkSettings.Ports}}"
inspect r1 --format "{{range $k,$v := .}}{{$k}} {{end}}"
inspect -s r1 --format "{{.SizeRw}}"
inspect nosuch
top r1 -o comm,pid
top r1 wrongopt
stats --no-stream --format "{{.Name}} {{.PIDs}}" r1
stats --no-stream nosuch
logs nosuch
logs r1
exec r1 sh -c "echo hi >&2; exit 4"
exec -e A r1 env
exec -u 1:2 r1 id
exec --detach-keys wrong, r1 true
diff nosuch
cp r1:/nosuch -
cp r1:/etc/passwd nosuch:/x
commit r1 Bad:Name
commit --change "BAD x" r1 c:2
commit --change "EXPOSE 99" --change "ENTRYPOINT [\"/x\"]" -a me -m msg r1 c:3
image inspect c:3 --format "{{json .Config}} {{.Author}} {{.Comment}} {{.Architecture}} {{.Os}}"
history -q c:3
images --filter reference=c:* --format "{{.Repository}}:{{.Tag}}"
images --filter before=nosuch
images --filter dangling=x
rmi busybox
rmi c:3
rmi -f nosuch
tag nosuch x:y
tag busybox x:y:z
save nosuch
load -i /etc/passwd
kill -s 99 r1
kill -s SIGFOO r1
kill nosuch
pause nosuch
unpause r1
wait nosuch
rename r1 ""
rename r1 "bad name"
update --memory 1 r1
update --cpus 99 r1
update --restart sometimes r1
rm r1
rm -l r1
stop -t 0 r1
rm -f r1 x1 stop99
rm -f nosuch
container prune -f --filter until=x
container prune -f --filter nosuch=x
image prune -f --filter until=x
# programs and their exit codes
run --rm busybox echo hi
run --rm busybox sh -c "echo out; echo err >&2; exit 7"
run --rm busybox nosuchprogram
run --rm --entrypoint /nosuch busybox
run --rm --entrypoint "" busybox
run --rm --entrypoint echo busybox a b
run --rm -w /a/b busybox pwd
run --rm -w rel busybox pwd
run --rm -u 1000:1001 busybox id
run --rm -u nosuch busybox id
run --rm -u root:nosuch busybox id
run --rm --group-add 7 --group-add nosuch busybox id
run --rm -e A=1 -e B= --env C busybox sh -c "env | sort"
run --rm --hostname h1 --domainname d1 busybox sh -c "hostname; hostname -f; cat /etc/hostname"
run --rm --read-only busybox touch /x
run --rm --read-only --tmpfs /t:size=1m,mode=1777 busybox sh -c "touch /t/x; grep ' /t ' /proc/mounts"
run --rm --memory 32m --memory-swap 64m --cpus 0.5 --cpu-shares 512 --pids-limit 50 --cpuset-cpus 0 busybox sh -c "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpuset/cpuset.cpus"
run --rm busybox grep -E "Cap|NoNew|Seccomp:" /proc/self/status
run --rm --cap-add NET_ADMIN --cap-drop CHOWN busybox grep Cap /proc/self/status
run --rm --cap-drop ALL busybox grep Cap /proc/self/status
run --rm --cap-add NOSUCH busybox true
run --rm --privileged busybox grep -E "Cap|NoNew|Seccomp:" /proc/self/status
run --rm --security-opt no-new-privileges --security-opt seccomp=unconfined busybox grep -E "NoNew|Seccomp:" /proc/self/status
run --rm --security-opt seccomp=/nosuch busybox true
run --rm --device /dev/fuse:/dev/f:r busybox ls -l /dev/f
run --rm --device /dev/nosuch busybox true
run --rm --ulimit nofile=77:88 busybox sh -c "ulimit -n; ulimit -Hn"
run --rm --ulimit nosuch=1 busybox true
run --rm --sysctl net.ipv4.ip_default_ttl=77 busybox cat /proc/sys/net/ipv4/ip_default_ttl
run --rm --sysctl kernel.msgmax=9000 busybox cat /proc/sys/kernel/msgmax
run --rm --sysctl vm.swappiness=1 busybox true
run --rm --shm-size 1m busybox sh -c "df /dev/shm | tail -1"
run --rm --ipc none busybox sh -c "ls /dev/shm"
run --rm --add-host a.example:192.0.2.1 --hostname h2 --network none busybox cat /etc/hosts
run --rm --network host --dns 192.0.2.53 --dns-search example.org --dns-option ndots:3 busybox grep -v ^# /etc/resolv.conf
run --rm --mac-address 02:42:ac:11:00:99 busybox cat /sys/class/net/eth0/address
run --rm --oom-score-adj 500 busybox cat /proc/self/oom_score_adj
run --rm --stop-signal NOSUCH busybox true
run --rm --runtime nosuch busybox true
run --rm --network nosuch busybox true
run --rm -v /etc/hostname:/x:ro busybox touch /x
run --rm -v vol1:/d busybox sh -c "echo 1 >/d/f"
run --rm -v vol1:/d:ro busybox sh -c "cat /d/f; touch /d/g"
run --rm --mount type=volume,src=vol2,dst=/etc busybox ls /etc
run --rm --mount type=volume,src=vol3,dst=/etc,volume-nocopy busybox ls /etc
run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700 busybox sh -c "grep ' /t ' /proc/mounts"
run --rm --mount type=bind,src=/etc,dst=/h,readonly busybox touch /h/x
run --rm --isolation hyperv busybox true
# one that stays; what would come in any order is not asked for: both streams at once, health checks among the processes
run -d --name s1 --label k=v -e E=1 -p 127.0.0.1:8090:80/tcp -p 8091:81/udp --expose 82 --restart on-failure:3 --memory 64m --health-cmd "test -e /ok" --health-interval 1h --health-retries 1 --stop-timeout 1 busybox sh -c "echo started; sleep .3; echo oops >&2; touch /ok; exec sleep 1000"
ps --format "{{.Image}}|{{.Command}}|{{.Names}}|{{.Labels}}|{{.Mounts}}|{{.Networks}}|{{.Ports}}|{{.State}}|{{.Size}}"
ps --filter label=k=v --filter status=running --filter network=bridge --filter volume=nosuch
ps --filter publish=8090 --format {{.Names}}
ps --filter expose=82 --format {{.Names}}
ps --no-trunc --filter name=s1 --format {{.Command}}
inspect s1 --format "{{json .Config}}"
inspect s1 --format "{{json .HostConfig}}"
inspect s1 --format "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.RestartCount}} {{.Driver}} {{.Platform}} {{.Path}} {{.Args}} {{json .Mounts}}"
port s1
port s1 80/tcp
port s1 81/udp
logs s1
logs --tail 1 s1
logs --since 2100-01-01 s1
logs --until 1990-01-01 s1
logs --tail x s1
logs --since x s1
exec s1 sh -c "echo $E; exit 3"
exec -w /tmp s1 pwd
exec -u nosuch s1 true
exec s1 nosuch
exec -e A=2 s1 sh -c "echo $A"
exec -d s1 touch /made
exec nosuch true
$ until docker exec s1 ls /made 2>/dev/null; do sleep .1; done
top s1 -o comm,user
$ docker diff s1 | sort
cp s1:/ok /run/ok
cp /run/ok s1:/nosuch/x
cp /run/ok s1:/ok2
cp /run/nosuch s1:/x
cp s1:/etc /run/ok
commit -m hello -c "ENV X=1" -c "LABEL a=b" -c "CMD [\"sh\",\"-c\",\"echo $X\"]" s1 made:1
run --rm made:1
image inspect made:1 --format "{{json .Config}} {{.Comment}} {{.Author}} {{.Size}} {{json .RootFS.Type}}"
history made:1 --format "{{.CreatedBy}}|{{.Comment}}|{{.Size}}"
images --format "{{.Repository}}:{{.Tag}} {{.Size}}"
tag made:1 other:2
$ docker images --filter label=a=b --format "{{.Repository}}:{{.Tag}}" | sort
rmi other:2
pause s1
ps --format "{{.Names}} {{.State}}"
exec s1 true
stop s1 nosuch
unpause s1
unpause s1
rename s1 s2
rename s2 s2
update --memory 128m --memory-swap 256m --cpus 0.5 --pids-limit 9 --restart no s2
inspect s2 --format "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}"
exec s2 cat /sys/fs/cgroup/memory/memory.limit_in_bytes
restart -t 0 s2
kill -s HUP s2
kill s2
wait s2
start s2
stop -t 0 s2
inspect s2 --format "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Pid}} {{json .NetworkSettings.Ports}} {{.NetworkSettings.SandboxKey}}"
rm s2
container ls -a
images -q nosuch
rmi made:1
volume rm vol1 vol2 vol3
# at the end
info --format "{{.Containers}} {{.ContainersRunning}} {{.Images}} {{.Driver}} {{.CgroupDriver}} {{.CgroupVersion}} {{.OSType}} {{.Architecture}} {{.NCPU}} {{.MemTotal}} {{.DefaultRuntime}} {{.Swarm.LocalNodeState}}"
version --format "{{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}} {{.Server.Arch}}"
run --rm -v vv:/v busybox sh -c "head -c 100000 /dev/zero >/v/f; ln /v/f /v/g"
volume create never
$ docker volume prune -f >/dev/null; docker system df -v | sort
system df --format "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}"
volume ls --format {{.Name}} --filter name=v
volume prune -f -a --filter label=none
volume rm vv never
plugin ls
container ls -a
network prune -f
system prune -f
# terminals, pipes, files; keys are typed until they are taken: a terminal that is not raw yet swallows them. What types is no
# child of script(1)'s, which would wait for it
$ while echo hello; do sleep .3; done | script -qec "docker run --rm -it busybox sh -c 'read x; echo got:\$x; exit 4'" /dev/null | tr -d '\r' | grep -o 'got:.*'
$ script -qec "docker run --rm -t busybox tty" /dev/null </dev/null | sed 's/\^@//'; echo $PIPESTATUS
$ script -qec "docker run --rm -it busybox sh -c 'exit 5'" /dev/null </dev/null | sed 's/\^@//'; echo $PIPESTATUS
$ echo data | docker run --rm -i busybox sh -c 'cat; echo end'
$ echo data | docker run --rm -it busybox cat; echo $?
$ docker run -dit --name t1 busybox sh >/dev/null
$ while printf '\020\021'; do sleep .3; done | script -qec "docker attach t1" /dev/null | tr -d '\r' | grep -o 'read escape.*'; docker inspect -f '{{.State.Running}}' t1
$ while printf '\001x'; do sleep .3; done | script -qec "docker attach --detach-keys ctrl-a,x t1" /dev/null | tr -d '\r' | grep -o 'read escape.*'; docker inspect -f '{{.State.Running}}' t1
$ while printf '\001x'; do sleep .3; done | script -qec "docker exec -it --detach-keys ctrl-a,x t1 sh" /dev/null | tr -d '\r' | grep -o 'exec failed.*\|read escape.*'; docker inspect -f '{{.State.Running}}' t1
$ docker rm -f t1
$ docker export $(docker create --name e1 busybox true) | tar -t | grep -c .; docker rm e1
$ docker create --name e2 busybox true >/dev/null; cd $(mktemp -d); echo hello >f; tar -c f | docker cp - e2:/tmp; docker cp e2:/tmp/f - | tar -xO; docker rm e2
$ docker save busybox | docker load -q
$ docker create --name e3 busybox sh -c 'echo a >/a; rm /bin/ls; mkdir /d; touch /d/f' >/dev/null; docker start -a e3; docker diff e3 | sort; docker export e3 | docker import -c 'CMD ["cat","/a"]' - imp:1 >/dev/null; docker run --rm imp:1; docker rmi -f imp:1 >/dev/null; docker rm e3
$ cd $(mktemp -d); printf 'A=1\nB\n' >env; B=2 docker run --rm --env-file env --cidfile cid busybox sh -c 'echo $A $B'; wc -c <cid; docker run --rm --cidfile cid busybox true; echo $?
$ docker run -d --name l1 busybox sh -c 'for i in 1 2 3; do echo $i; done; sleep 1; echo late' >/dev/null; docker logs -f l1; docker logs -t l1 | cut -d- -f1 | sort -u | grep -c .; docker rm l1
$ docker run -d --name ev1 --network none busybox true >/dev/null; docker wait ev1; docker rm ev1; docker events --since 0 --until $(($(date +%s) + 2)) --filter container=ev1 --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'
$ docker run -d --name h1 --health-cmd 'test -e /ok' --health-interval 100ms --health-retries 2 busybox sleep 1000 >/dev/null; until [ $(docker inspect -f '{{.State.Health.Status}}' h1) = unhealthy ]; do sleep .2; done; docker exec h1 touch /ok; until [ $(docker inspect -f '{{.State.Health.Status}}' h1) = healthy ]; do sleep .2; done; docker ps --filter health=healthy --format '{{.Names}}'; docker rm -f h1
$ docker run -d --name r1 --restart on-failure:2 busybox false >/dev/null; until [ "$(docker inspect -f '{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}' r1)" = "exited 2 1" ]; do sleep .2; done; docker rm r1
$ docker network create an >/dev/null; docker network create bn >/dev/null; docker run -d --name na --network an --network-alias ali busybox sleep 1000 >/dev/null; docker run --rm --network an busybox sh -c 'nslookup ali >/dev/null && ping -c1 -W5 na | grep -o "1 packets received"'; docker network connect --alias bli bn na; docker exec na ls /sys/class/net; docker network disconnect an na; docker exec na ls /sys/class/net; docker network rm bn; docker rm -f na; docker network rm an bn
$ docker run -d --name web -p 127.0.0.1:8099:80 busybox sh -c 'mkdir /w; echo page >/w/index.html; exec httpd -f -h /w' >/dev/null; docker run -d --name other --network container:web busybox sleep 1000 >/dev/null; until docker exec other wget -qO- 127.0.0.1 2>/dev/null; do sleep .1; done; docker run --rm --link web:w busybox sh -c 'wget -qO- http://w; env | grep -c ^W_'; docker rm -f web other
`;

/** Refused by both; the shim's words say what to do instead. */
export const refused: Readonly<Record<string, RegExp>> = {
  'pull nosuch': /pulls from no registry.*docker save/,
  'run --rm nosuch:image true': /pulls from no registry.*docker save/,
  'search busybox': /searches no registry.*docker save/,
  'login -u a -p b': /talks to no registry.*docker save/,
  'swarm leave': /has no swarm.*docker compose/,
  'service ls': /has no swarm.*docker compose/,
};

/** At both engines with the docker command of 20.10. */
export const olderClientCommands: string = `
run --rm busybox sh -c "echo out; exit 3"
run -d --name o1 --label a=b -e E=1 -p 127.0.0.1:8097:80 -v ov:/v --restart on-failure:2 busybox sleep 1000
ps --format "{{.Names}} {{.Image}} {{.Command}} {{.Ports}} {{.Labels}}"
inspect o1 --format "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}} {{json .Config.Labels}} {{len .Mounts}}"
exec o1 sh -c "echo $E; exit 5"
logs nosuch
cp o1:/etc/hostname /run/older
top o1 -o comm
stats --no-stream --format "{{.Name}} {{.PIDs}}" o1
update --restart no o1
pause o1
unpause o1
port o1
diff o1
commit -m x o1 oi:1
images oi --format "{{.Repository}}:{{.Tag}}"
history oi:1 --format {{.Comment}}
rmi oi:1
rename o1 o2
stop -t 0 o2
start o2
kill o2
wait o2
rm o2
network create --subnet 10.44.0.0/24 on
network ls --filter name=on --format "{{.Name}} {{.Scope}}"
run --rm --network on --ip 10.44.0.9 busybox hostname -i
network rm on
volume ls --filter name=ov --format {{.Name}}
volume rm ov
info --format "{{.Containers}} {{.Driver}}"
system df --format {{.Type}}
`;

/** A project whose services wait for each other, on two networks and with a volume. */
export const composeProject = `
services:
  db:
    image: busybox
    command: ["sh", "-c", "sleep 1; touch /ready; exec sleep 1000"]
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 200ms, retries: 100}
    stop_grace_period: 0s
    networks: [back]
    volumes: ["data:/data"]
  web:
    image: busybox
    command: ["sh", "-c", "mkdir /w; nslookup db >/dev/null && echo found >/w/index.html; exec httpd -f -h /w"]
    depends_on: {db: {condition: service_healthy}}
    stop_grace_period: 0s
    networks: {front: {aliases: [www]}, back: {}}
    ports: ["127.0.0.1:8098:80"]
  once:
    image: busybox
    command: ["sh", "-c", "until wget -qO- http://www 2>/dev/null; do sleep .2; done"]
    depends_on: {web: {condition: service_started}}
    networks: [front]
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
`;

/** FILE is the project's. */
export const composeScript: string = `
c() { docker compose -p proj -f FILE "$@" 2>/dev/null; }
c config -q; echo config $?
c up -d; echo up $?
docker wait proj-once-1
c ps -a --format '{{.Service}} {{.State}} {{.Health}}' | sort
c logs --no-color --no-log-prefix once
c exec -T web wget -qO- 127.0.0.1
c port web 80
docker network inspect -f '{{.Name}} {{.Internal}} {{len .Containers}}' proj_front proj_back
c up -d; echo again $?
c up -d --scale db=2; echo scaled $?
docker wait proj-once-1
c ps --format '{{.Name}}' | sort
c restart -t 0 web; echo restarted $?
c run --rm -T once sh -c 'exit 6'; echo run $?
c pause web; c ps web --format '{{.State}}'; c unpause web
c stop -t 0; echo stopped $?
c ps -a --format '{{.Name}} {{.State}}' | sort
c down -v; echo down $?
docker ps -aq --filter name=proj; docker network ls -q --filter name=proj; docker volume ls -q --filter name=proj
`;

/** Another client library, python3-docker; prints one line of JSON. */
export const pythonScript = `
import docker, io, json, tarfile
c = docker.from_env(timeout=60)
seen = []
def see(what, value):
    seen.append([what, value])
def refused(what, call):
    try:
        see(what, call())
    except docker.errors.APIError as error:
        see(what, [error.status_code, error.explanation])
see("ping", c.ping())
see("run", c.containers.run("busybox", ["echo", "hi"], remove=True).decode())
try:
    c.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 7"], remove=True)
except docker.errors.ContainerError as error:
    see("fails", [error.exit_status, error.stderr.decode()])
refused("no image", lambda: c.api.inspect_image("nosuch"))
refused("no container", lambda: c.api.inspect_container("nosuch"))
refused("bad name", lambda: c.api.create_container("busybox", name="a b"))
net = c.networks.create("pynet", driver="bridge", labels={"a": "b"}, ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.45.0.0/24", gateway="10.45.0.1")]))
vol = c.volumes.create("pyvol", labels={"x": "y"})
see("volume", [vol.attrs["Name"], vol.attrs["Labels"], vol.attrs["Scope"]])
k = c.containers.create("busybox", ["sh", "-c", "echo ready; exec sleep 1000"], name="py1", network="pynet", environment={"A": "1"}, labels={"l": "1"}, mem_limit="64m", volumes={"pyvol": {"bind": "/v", "mode": "rw"}}, ports={"80/tcp": ("127.0.0.1", 8096)}, stop_signal="SIGKILL", healthcheck={"test": ["CMD", "true"], "interval": 3600000000000})
see("created", k.status)
k.start(); k.reload()
see("started", [k.status, k.attrs["HostConfig"]["Memory"], k.attrs["NetworkSettings"]["Ports"], sorted(k.attrs["NetworkSettings"]["Networks"])])
refused("name taken", lambda: c.api.create_container("busybox", name="py1") and None)
code, output = k.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
see("exec", [code, [part.decode() for part in output]])
raw = k.exec_run(["cat"], stdin=True, socket=True)[1]._sock
raw.sendall(b"abc"); raw.shutdown(1)
answer = b""
for part in iter(lambda: raw.recv(100), b""):
    answer += part
see("exec socket", answer[-3:].decode())
buffer = io.BytesIO()
archive = tarfile.open(fileobj=buffer, mode="w")
entry = tarfile.TarInfo("f"); entry.size = 3
archive.addfile(entry, io.BytesIO(b"abc")); archive.close()
see("put", k.put_archive("/v", buffer.getvalue()))
stream, stat = k.get_archive("/v/f")
see("get", [stat["name"], stat["size"], tarfile.open(fileobj=io.BytesIO(b"".join(stream))).extractfile("f").read().decode()])
for line in k.logs(stream=True, follow=True):
    see("log", line.decode()); break
stats = k.stats(stream=False)
see("stats", [stats["pids_stats"]["current"] > 0, stats["memory_stats"]["limit"], sorted(stats["networks"])])
see("top", [row[1] for row in k.top(ps_args="-o pid,comm")["Processes"]])
net.disconnect(k); net.connect(k, aliases=["al"], ipv4_address="10.45.0.44"); k.reload()
see("connected", k.attrs["NetworkSettings"]["Networks"]["pynet"]["IPAddress"])
k.pause(); k.reload(); see("paused", k.status); k.unpause()
k.update(mem_limit="128m", memswap_limit="256m"); k.reload(); see("updated", k.attrs["HostConfig"]["Memory"])
k.rename("py2"); see("renamed", [x.name for x in c.containers.list(filters={"label": "l=1"})])
see("diff", sorted(d["Path"] for d in k.diff() or []))
image = k.commit("pyimage", "1"); see("image", [image.tags, image.attrs["Os"]])
image.tag("pyimage", "2")
see("saved", sum(len(part) for part in image.save()) > 1000000)
see("history", len(image.history()) > 0)
see("list", sorted(t for i in c.images.list("pyimage") for t in i.tags))
c.images.remove("pyimage:1"); c.images.remove("pyimage:2")
k.kill(); see("wait", k.wait()["StatusCode"])
refused("kill again", lambda: k.kill())
k.remove()
net.remove(); vol.remove()
see("df", sorted(c.df()))
see("pruned", c.containers.prune()["ContainersDeleted"])
print(json.dumps(seen))
`;
