/** Names for containers that were given none: a quality and a knot. */
import { randomInt } from 'node:crypto';

const qualities =
  'agile amber bold brave bright brisk calm clear crisp deft eager fair fast firm fleet fresh gentle glad golden grand hardy humble jolly keen kind lively loyal lucid mellow merry mighty neat noble plucky polished prime proud quick quiet rapid ready robust serene sharp silent silver smart snug solid spry steady sterling stout sturdy sunny supple swift tidy trim trusty vivid warm wise witty zesty'.split(
    ' ',
  );
const knots =
  'anchor_bend angler bight bowline butterfly capstan carrick cleat clinch clove_hitch constrictor cow_hitch dropper fathom figure_eight fisherman gasket girth_hitch half_hitch halyard hawser heaving_line highwayman icicle lanyard lashing lighterman mainsheet marlinspike midshipman miller munter oysterman packer painter palomar pile_hitch prusik reef_knot rigger rolling_hitch sailmaker sheepshank sheet_bend shroud slipknot splice square_knot stevedore stopper surgeon tackle taut_line thief_knot timber_hitch topsail trucker turle waggoner warping whipping windlass zeppelin'.split(
    ' ',
  );

export function randomName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt += 1) {
    const name = `${pick(qualities)}_${pick(knots)}${attempt > 5 ? randomInt(10 ** Math.min(attempt - 4, 9)) : ''}`;
    if (!isTaken(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] as string;
}
