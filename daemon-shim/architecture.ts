/** Go's name of the processor, as images and the Engine API use it. */
export function architecture(): string {
  return { x64: 'amd64', ia32: '386', arm64: 'arm64' }[process.arch as string] ?? process.arch;
}
