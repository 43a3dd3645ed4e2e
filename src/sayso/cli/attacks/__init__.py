"""The attacks of `sayso selftest`: what an agent might try, each with what it saw.

An attack is a function of the `Ground` that says what came of each try. It raises `NotTriedError`
when it lacks what it needs. Doubt counts against the server: an error of its own (5xx), a reply
that does not end, or a request that cannot be read any more is not a refusal.

    ground      what is attacked, and with what; what a refusal is
    deciding    without being a person
    identity    being somebody else
    others      what belongs to somebody else
    grants      what was not approved, or once more
    input       what breaks readers, or deceives people
"""

from sayso.cli.attacks.deciding import (
    decide_by_another_method,
    decide_by_another_path,
    decide_by_get,
    decide_by_headers,
    decide_by_what_the_body_says,
    decide_with_the_agents_key,
    decide_without_a_credential,
    have_silence_mean_yes,
)
from sayso.cli.attacks.grants import (
    claim_after_a_cancellation,
    claim_after_a_rejection,
    claim_another_digest,
    claim_before_a_decision,
    claim_by_another_agent,
    claim_twice,
    decide_twice,
    rebind_an_idempotency_key,
    submit_a_wrong_digest,
)
from sayso.cli.attacks.ground import Attack
from sayso.cli.attacks.identity import (
    call_by_an_unknown_host,
    call_from_a_foreign_page,
    forge_a_session,
    forge_a_sign_in_link,
    make_oneself_an_admin,
    replay_a_sign_in_link,
)
from sayso.cli.attacks.input import (
    give_a_name_twice,
    inject_into_what_people_see,
    send_too_much,
    send_what_is_not_json,
)
from sayso.cli.attacks.others import (
    forge_a_channels_callback,
    meddle_with_anothers_request,
    meddle_without_a_credential,
    read_what_is_secret,
    send_callbacks_inside,
)

ATTACKS: tuple[Attack, ...] = (
    decide_without_a_credential,
    decide_with_the_agents_key,
    decide_by_what_the_body_says,
    decide_by_headers,
    decide_by_another_method,
    decide_by_get,
    decide_by_another_path,
    decide_twice,
    have_silence_mean_yes,
    replay_a_sign_in_link,
    forge_a_sign_in_link,
    forge_a_session,
    make_oneself_an_admin,
    meddle_with_anothers_request,
    meddle_without_a_credential,
    read_what_is_secret,
    call_from_a_foreign_page,
    call_by_an_unknown_host,
    send_callbacks_inside,
    forge_a_channels_callback,
    submit_a_wrong_digest,
    claim_before_a_decision,
    claim_after_a_rejection,
    claim_after_a_cancellation,
    claim_another_digest,
    claim_by_another_agent,
    claim_twice,
    rebind_an_idempotency_key,
    give_a_name_twice,
    send_what_is_not_json,
    send_too_much,
    inject_into_what_people_see,
)
