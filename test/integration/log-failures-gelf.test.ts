/** The failure matrix for cleat-gelf over tcp. */
import { test } from 'uvu';
import { failureMatrix } from '../support/log-failures.ts';
import { requires } from '../support/requires.ts';

requires('root');

failureMatrix('cleat-gelf', 'gelf-address', 5250);

test.run();
